"""Things by name: those of genbench, those added by one call, those of installed packages."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Generic, Protocol, TypeVar

from genbench import UserError
from genbench.console import first_line, say


class Named(Protocol):
    """What can be registered."""

    @property
    def name(self) -> str:
        """What it is registered under."""


T = TypeVar("T", bound=Named)


class Registry(Mapping[str, T], Generic[T]):
    """A mapping from names to things, loaded when it is first looked at.

    An installed package adds to it by an entry point of the registry's group:

        [options.entry_points]
        genbench.families =
            mine = my_package.my_family:FAMILY
    """

    def __init__(self, group: str, built_in: tuple[str, ...] = ()):
        """A registry that begins with `built_in`, each written `module:ATTRIBUTE`."""
        self.group, self._built_in = group, built_in
        self._items: dict[str, T] = {}
        self._loaded = False

    def add(self, item: T) -> T:
        """Register one more, in place of one of the same name; `item` itself, for an assignment."""
        self._load()
        self._items[item.name] = item
        return item

    def remove(self, name: str) -> None:
        """Forget one."""
        del self._items[name]

    def find(self, name: str, what: str) -> T:
        """The one of this name.

        Raises:
            UserError: There is none; `what` is how the message names the input.
        """
        try:
            return self[name]
        except KeyError:
            raise UserError(f"{what}={name!r}: unknown; choose one of {', '.join(self)}") from None

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True  # what is imported now may look at the registry too
        try:
            for path in self._built_in:
                module, attribute = path.split(":")
                self.add(getattr(import_module(module), attribute))
        except BaseException:
            self._loaded = False
            raise
        for point in entry_points(group=self.group):
            try:
                self.add(point.load())
            except Exception as error:  # a package that is broken takes nothing else down
                say(f"{self.group}: {point.value} cannot be loaded ({first_line(error)})")

    def __getitem__(self, name: str) -> T:
        self._load()
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        self._load()
        return iter(self._items)

    def __len__(self) -> int:
        self._load()
        return len(self._items)
