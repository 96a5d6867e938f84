"""Arguments of the wrong type: refused where they come in, by name, and not where they first do harm."""


def check_type(name: str, value: object, *types: type) -> None:
    """Raise a `TypeError` that names the argument unless its value has one of these types."""
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        wanted = " or ".join("None" if one is type(None) else one.__name__ for one in types)
        raise TypeError(f"{name} must be {wanted}, not {type(value).__name__}")
