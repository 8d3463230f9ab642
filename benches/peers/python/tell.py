"""The lines that benches/run reads."""


def tell(case: str, engine: str, rows: int, seconds: float, sums: tuple) -> None:
    """Sums are those of the three results over all rows."""
    label = f"b2\t{case}\t{engine}"
    print(f"{label}\trows\t{rows}")
    print(f"{label}\tevents_per_second\t{rows / seconds:.0f}")
    print(f"{label}\tchecksum\t{','.join(str(int(total)) for total in sums)}")
