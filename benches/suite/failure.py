"""An error that is told to the user: message and hint, as everywhere in this project."""


class Failure(Exception):
    def __init__(self, message: str, hint: str):
        super().__init__(message)
        self.hint = hint
