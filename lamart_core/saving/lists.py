"""Lists of records that were made together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, TypeVar

from lamart_core import errors
from lamart_core.query import model_info
from lamart_core.query.results import frames
from lamart_core.records import SQLRecord

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T", bound=SQLRecord)


class SQLRecordList(list[T]):
    """A list of records, saved or not, that can be saved together.

    Examples:
        >>> import lamart_core as ln
        >>> transforms = ln.SQLRecordList([ln.Transform(key="ingest"), ln.Transform(key="clean")]).save()
        >>> transforms.to_list("key")
        ['ingest', 'clean']
    """

    def save(self, *, print_progress: bool | None = None) -> Self:
        """Save the records, as `ln.save` does.

        Args:
            print_progress: Whether a bar is drawn on stderr; None is `settings.progress`.

        Returns:
            The list itself.

        Raises:
            BulkSaveError: Some records could not be saved; it holds those that are saved, and those that are not.
        """
        from lamart_core.saving import bulk  # which returns such lists

        if self:
            bulk.save(self, print_progress=print_progress)
        return self

    def one(self) -> T:
        """Return the only record.

        Raises:
            ObjectDoesNotExist: The list is empty.
            MultipleObjectsReturned: There are several.
        """
        if not self:
            raise errors.ObjectDoesNotExist("the list holds no record")
        if len(self) > 1:
            raise errors.MultipleObjectsReturned(f"the list holds {len(self):,} records, for example {self[:2]!r}")
        return self[0]

    def to_list(self, field: str | None = None) -> list[Any]:
        """Return a plain list of the records, or of the values of one field.

        Args:
            field: Name of a field of the records, for example `"key"`.

        Raises:
            FieldError: A record has no such field.
        """
        if field is None:
            return list(self)
        for model in {type(record) for record in self}:
            if field not in model.field_names():
                raise errors.FieldError(
                    f"{model.__name__} has no field {field!r}; it has: {', '.join(model.field_names())}"
                )
        return [getattr(record, field) for record in self]

    def to_dataframe(self) -> pd.DataFrame:
        """Return the fields of the records as a data frame, in their order; its index is the id where all are saved.

        Raises:
            InvalidArgument: The records are of several classes, which have no common columns.
        """
        import pandas as pd

        models = {type(record) for record in self}
        if len(models) > 1:
            names = ", ".join(sorted(model.__name__ for model in models))
            raise errors.InvalidArgument(f"records of several classes make no table: {names}")
        return frames.records_to_dataframe(model_info(models.pop()), self) if models else pd.DataFrame()
