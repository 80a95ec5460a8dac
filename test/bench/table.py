"""What was measured, as one table: for the terminal, or in Markdown."""

import statistics

COLUMNS = ["mode", "product", "rate", "p50 ms", "p99 ms", "CPU s", "x ref", "Pss MB", "remarks"]
LEFT = {0, 1, 8}


class Cell:
    """All measurements of one product in one mode."""

    def __init__(self):
        self.samples, self.failure, self.refusal = [], "", ""

    def values(self, field):
        return [value for sample in self.samples
                if (value := getattr(sample, field)) is not None]

    def median(self, field):
        """None: never measured."""
        values = self.values(field)
        return statistics.median(values) if values else None

    def text(self, field, form):
        value = self.median(field)
        return "-" if value is None else form % value

    def spread(self, field, form):
        values = self.values(field)
        text = self.text(field, form)
        if len(values) > 1:
            text += f" ({form % min(values)}-{form % max(values)})"
        return text

    def remarks(self):
        if self.failure or self.refusal:
            return self.failure or self.refusal
        if self.median("client_kb") is not None:
            return (f"{self.text('client_kb', '%.2f')} kB a client beyond "
                    f"{self.text('base_mb', '%.1f')} MB")
        return ""


def rate_text(cell, unit):
    rate = cell.median("rate")
    return "-" if rate is None else f"{rate:,.0f} {unit}/s"


def ratio(cell, reference, field="cpu"):
    """None when either was not measured."""
    ours, theirs = cell.median(field), reference.median(field) if reference else None
    return ours / theirs if ours is not None and theirs else None


def rows(cells, modes, names, reference):
    """Of text, below COLUMNS."""
    found = []
    for mode in modes:
        for name in names:
            cell = cells[mode.name, name]
            part = ratio(cell, cells.get((mode.name, reference)))
            found.append([mode.name, name, rate_text(cell, mode.unit), cell.text("p50_ms", "%.3f"),
                          cell.text("p99_ms", "%.3f"), cell.spread("cpu", "%.2f"),
                          "-" if part is None else f"{part:.2f}", cell.text("pss_mb", "%.1f"),
                          cell.remarks()])
    return found


def legend(modes):
    return [f"{mode.name}: {mode.words}"
            + (f"; CPU s for {mode.cpu_units:,} {mode.unit}" if mode.unit != "client" else "")
            for mode in modes]


def print_text(table):
    table = [COLUMNS, *table]
    widths = [max(len(row[at]) for row in table) for at in range(len(COLUMNS))]
    for number, row in enumerate(table):
        if number and row[0] != table[number - 1][0]:
            print("-" * (sum(widths) + 2 * len(widths) - 2))
        print("  ".join(text.ljust(width) if at in LEFT else text.rjust(width)
                        for at, (text, width) in enumerate(zip(row, widths))).rstrip())


def print_markdown(table):
    print("| " + " | ".join(COLUMNS) + " |")
    print("|" + "|".join(" --- " if at in LEFT else " ---: " for at in range(len(COLUMNS))) + "|")
    for row in table:
        print("| " + " | ".join(row) + " |")
