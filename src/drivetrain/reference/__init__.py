"""Twins: the readable from-scratch form of each fast part, tested equal to it.

A twin uses torch, numpy and this package only, so it shares no code with what it checks, and nothing
outside the tests and the documentation imports it. Each is written to be read beside its paper.

- `losses`: the losses from their formulas, and their gradients by hand.
- `metrics`: plain Python over all items at once.
- `recommending`: metrics of recommended lists in plain Python, one user at a time.
- `schedules`: the curves as one formula each.
- `adam`: AdamW, a line of the paper a line of code.
- `optimizers`: the others, from SGD to Muon, one tensor at a time.
- `augment`: moved and lit pictures, one pixel at a time.
- `averaging`: the average of weights over training, as one sum.
- `mixup`: mixed pictures and their losses, one pixel at a time.
- `factorization`: vectors of users and items, one rating, one triple or one user at a time.
- `learner`: training in seven steps.
"""
