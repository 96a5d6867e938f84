"""The checks of `h3push doctor`: each looks at one thing, and says what is wrong with it and what to type."""
