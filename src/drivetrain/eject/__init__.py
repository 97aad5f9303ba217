"""A run as a plain PyTorch script that gives the same weights, without Drivetrain.

The script is made of the library's own source, with what is known of the run put in:

- `tree`: source text to a tree and back, comments included.
- `fold`: a tree with known values put in, branches decided, and what is left without use taken out.
- `lift`: functions and classes taken out of their modules with all that they stand on.
- `program`: the pieces of a script together: what every call gives alike becomes a constant, what is
  called once and says one thing is written where it is called.
- `inline`: the statements of callbacks in the place of their events.
- `loop`: the training loop of a run's stages, its callbacks inside.
- `script`: headings, constants with their reasons, imports, layout.
- `parts`: the protocol by which an application brings its data and its model.
- `own`: the part for models and loaders that people bring.

An application brings its own part, such as `drivetrain.vision.eject`.
"""
