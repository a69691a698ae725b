//! Tables.

use comfy_table::{Cell, CellAlignment, Table, presets};

/// A table with these headings; columns of which `right` is true are numbers.
pub(crate) fn table<const N: usize>(heads: [(&str, bool); N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(heads.map(|(head, right)| align(Cell::new(head), right)));
    for (column, (_, right)) in table.column_iter_mut().zip(heads) {
        column.set_padding((0, 2));
        if right {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn align(cell: Cell, right: bool) -> Cell {
    match right {
        true => cell.set_alignment(CellAlignment::Right),
        false => cell,
    }
}

/// A table as text without trailing blanks.
pub(crate) fn lines(table: &Table) -> String {
    let lines: Vec<String> = table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    lines.join("\n")
}
