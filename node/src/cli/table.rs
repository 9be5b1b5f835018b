//! Aligned columns for people.

use serde_json::Value;

/// The widest cell, in characters. Longer texts end in an ellipsis; `--output json` has them whole.
const MAX_CELL: usize = 72;

/// A column: its heading, and the JSON pointer (RFC 6901) of its cells.
pub(crate) type Column = (&'static str, &'static str);

/// `rows` as a table, each cell found by its column's pointer.
pub(crate) fn table<'a>(columns: &[Column], rows: impl IntoIterator<Item = &'a Value>) -> String {
    let heading = columns.iter().map(|(heading, _)| (*heading).to_owned()).collect();
    let cells =
        rows.into_iter().map(|row| columns.iter().map(|(_, pointer)| cell(row.pointer(pointer))).collect());
    align(&std::iter::once(heading).chain(cells).collect::<Vec<_>>())
}

/// `record` as one line a field.
pub(crate) fn fields(fields: &[Column], record: &Value) -> String {
    let present = fields.iter().filter(|(_, pointer)| record.pointer(pointer).is_some());
    align(
        &present
            .map(|(name, pointer)| vec![format!("{name}:"), cell(record.pointer(pointer))])
            .collect::<Vec<_>>(),
    )
}

/// Lines of cells, each column as wide as its widest cell, the last one ragged.
pub(crate) fn align(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<_> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    lines.iter().map(|line| padded(line, &widths)).collect()
}

fn padded(line: &[String], widths: &[usize]) -> String {
    let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
    format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
}

/// A value as people write it.
pub(crate) fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".into(),
        Some(Value::Bool(yes)) => if *yes { "yes" } else { "no" }.into(),
        Some(Value::String(text)) => shorten(&printable(text)),
        Some(Value::Array(items)) if items.is_empty() => "-".into(),
        Some(Value::Array(items)) => {
            shorten(&items.iter().map(|item| cell(Some(item))).collect::<Vec<_>>().join(", "))
        }
        Some(other) => other.to_string(),
    }
}

/// Strangers publish these texts: a control character in one must not steer the reader's terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= MAX_CELL {
        return text.into();
    }
    text.chars().take(MAX_CELL - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [json!({"id": "a", "n": {"x": 12}}), json!({"id": "longer", "ok": true})];
        insta::assert_snapshot!(table(&[("ID", "/id"), ("X", "/n/x"), ("OK", "/ok")], &rows), @r"
        ID      X   OK
        a       12  -
        longer  -   yes
        ");
    }

    #[test]
    fn a_table_without_rows_has_its_heading() {
        assert_eq!(table(&[("ID", "/id")], []), "ID\n");
    }

    #[test]
    fn fields_that_are_absent_are_left_out() {
        let record = json!({"id": "t1", "namespaces": ["a.b/*", "c.d/*"], "gone": null});
        insta::assert_snapshot!(fields(&[("id", "/id"), ("client", "/client"), ("may publish", "/namespaces")], &record), @r"
        id:           t1
        may publish:  a.b/*, c.d/*
        ");
    }

    #[test]
    fn a_published_text_cannot_steer_the_terminal() {
        assert_eq!(cell(Some(&json!("a\u{1b}[2Jb\nc"))), "a\u{fffd}[2Jb\u{fffd}c");
    }

    #[test]
    fn long_cells_end_in_an_ellipsis() {
        let text = cell(Some(&json!("ä".repeat(100))));
        assert_eq!((text.chars().count(), text.ends_with('…')), (MAX_CELL, true));
    }
}
