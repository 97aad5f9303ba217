"""A folder that predicts: weights, preprocessing, guard and golden examples; it can prove itself.

- `manifest`: `bundle.json`, what a bundle is; `opening`, `fields` and `reading` check what a stranger
  wrote before anything of it is used.
- `golden`: examples and the answers they must get; `verify`: the proof.
- `guard`: how sure an answer is, and whether the input is of a known kind.
- `write`: old or new, whole; `card`: `README.md` and `config.json`; `onnx`: the network as one ONNX file.

What is special to one kind of input (pictures: `drivetrain.vision.bundle`) stands in its application.
Reading and predicting import nothing of the training stack.
"""
