"""Twins: the readable from-scratch form of each fast part, tested equal to it.

A twin uses torch, numpy and this package only, so it shares no code with what it checks, and nothing
outside the tests and the documentation imports it. Each is written to be read beside its paper. In the
order in which `docs/reference.md` leads through them:

- `tensors`: numbers in a row, a shape, and steps that say where each stands.
- `broadcasting`: how shapes go together, and the sums on the way back.
- `matmul`: the product of two matrices, from three loops to one call.
- `pictures`: the mean picture of each digit, and which one is nearest.
- `descent`: slopes by trying and by hand, and steps down them.
- `neurons`: one neuron, a layer, and why something must stand between two.
- `chain_rule`: forward and backward, written out layer by layer.
- `autograd`: the same for any formula over arrays.
- `probability`: scores, probabilities and losses as chains of small steps.
- `losses`: the losses from their formulas, and their gradients by hand.
- `small_nets`: a weight for each pixel, then a hidden layer.
- `relus`: a sum of ReLUs follows any curve.
- `optimizers`: from plain descent to Muon, one tensor at a time.
- `adam`: AdamW, a line of the paper a line of code.
- `schedules`: the curves as one formula each.
- `learner`: training in seven steps, and callbacks at each of them.
- `averaging`: the average of weights over training, as one sum.
- `convolution`: a kernel at every place of a picture, by loops; edges, sizes.
- `unfolding`: convolution as one product of matrices.
- `convolution_matrix`: convolution as a linear layer of zeros and shared weights.
- `pooling`: the largest, the mean, or both.
- `convnets`: what a small net learns, costs and sees.
- `normalization`: batch norm with its running statistics, and layer norm.
- `dropout`: the mask, and its shapes.
- `residual`: the residual block, which begins as the identity.
- `depth`: deep nets with and without shortcuts.
- `augment`: moved and lit pictures, one pixel at a time.
- `mixup`: mixed pictures and their losses, one pixel at a time.
- `cam`: where in the picture a class was found.
- `embedding`: looking a row up is a product with a one-hot row.
- `factorization`: vectors of users and items, one rating, one triple or one user at a time.
- `recommending`: metrics of recommended lists in plain Python, one user at a time.
- `tokenizers`: words by rules, byte pairs, and likely parts, a character at a time.
- `recurrent`: cells, layers and time as loops; gradients that are cut off.
- `attention`: shares of all other positions, heads, masks.
- `trees`: one question, one tree, bags of trees, and trees on what trees left over.
- `metrics`: plain Python over all items at once.
- `guard`: calibration, sets of answers, distance from what was learnt, drift.
"""
