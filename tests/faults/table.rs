//! The tables of outcomes, and the document that they stand in.

use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;

use crate::support::Api;
use crate::support::fault::Fault;
use crate::{MODES, Mode, OPS, faults};

/// One table for each mode: a row for each fault, a column for each group of operations with equal outcomes.
pub(crate) fn render(api: Api, outcomes: impl Fn(Mode, Fault) -> Vec<&'static str>) -> String {
    let mut text = String::new();
    for mode in MODES {
        let rows: Vec<(Fault, Vec<&str>)> = faults(api)
            .into_iter()
            .map(|fault| (fault, outcomes(mode, fault)))
            .filter(|(_, row)| row.len() == OPS.len())
            .collect();
        if rows.is_empty() {
            continue;
        }
        let mut groups: Vec<(Vec<&str>, Vec<&str>)> = Vec::new();
        for (at, op) in OPS.iter().enumerate() {
            let column: Vec<_> = rows.iter().map(|(_, row)| row[at]).collect();
            match groups.iter_mut().find(|(_, other)| *other == column) {
                Some((names, _)) => names.push(op.name),
                None => groups.push((vec![op.name], column)),
            }
        }
        _ = writeln!(text, "### {}: {}\n", api.name(), mode.title());
        for (at, (names, _)) in groups.iter().enumerate() {
            _ = writeln!(text, "- {}: {}", letter(at), names.join("; "));
        }
        let letters: Vec<_> = (0..groups.len()).map(|at| letter(at).to_string()).collect();
        _ = writeln!(text, "\n| fault | {} |\n|---|{}", letters.join(" | "), "---|".repeat(groups.len()));
        for (at, (fault, _)) in rows.iter().enumerate() {
            let cells: Vec<_> = groups.iter().map(|(_, column)| column[at]).collect();
            _ = writeln!(text, "| {fault} | {} |", cells.join(" | "));
        }
        text.push('\n');
    }
    text
}

fn letter(at: usize) -> char {
    char::from(b'A' + u8::try_from(at).unwrap())
}

/// The document, its text, and where in it this API's table is.
fn document(api: Api) -> (PathBuf, String, Range<usize>) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/reliability.md");
    let text = fs::read_to_string(&path).unwrap_or_default();
    let (begin, end) = (format!("<!-- {} begins -->\n", api.name()), format!("<!-- {} ends -->", api.name()));
    let from = text.find(&begin).expect("the table's place in docs/reliability.md") + begin.len();
    let to = text.find(&end).expect("the table's end in docs/reliability.md");
    (path, text, from..to)
}

/// Whether the document holds this table.
pub(crate) fn is_documented(api: Api, table: &str) -> bool {
    let (_, text, place) = document(api);
    text[place] == *table
}

/// The document holds exactly this table; `RDZV_BLESS` puts it there.
pub(crate) fn check(api: Api, table: &str) {
    let (path, text, place) = document(api);
    if std::env::var_os("RDZV_BLESS").is_some() {
        fs::write(&path, format!("{}{table}{}", &text[..place.start], &text[place.end..])).unwrap();
        return;
    }
    let told = "docs/reliability.md is stale: run RDZV_BLESS=1 cargo test --test faults";
    assert!(text[place] == *table, "{told}; now it would be\n{table}");
}
