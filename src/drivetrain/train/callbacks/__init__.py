"""The callbacks, one a file. Import each from its own module."""
