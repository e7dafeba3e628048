//! What a cause's doc comment says, for `netwhy explain` and the manual.

/// The text of a cause's header (`//!` lines of its file) as Markdown; `None` for an unknown id.
pub fn cause_doc(id: &str) -> Option<String> {
    let source = crate::causes::SOURCES.iter().find(|(known, _)| *known == id).map(|(_, text)| *text)?;
    Some(header_of(source))
}

/// The `//!` lines at the top of a source file, without the markers.
pub fn header_of(source: &str) -> String {
    let mut out = String::new();
    for line in source.lines() {
        match line.strip_prefix("//!") {
            Some(rest) => {
                out.push_str(rest.strip_prefix(' ').unwrap_or(rest));
                out.push('\n');
            }
            None => break,
        }
    }
    out
}
