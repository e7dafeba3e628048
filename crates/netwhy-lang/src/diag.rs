//! What is wrong with a script: message, place, hint.

/// A range of bytes of the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// Byte after the last.
    pub end: u32,
}

impl Span {
    /// From the start of `self` to the end of `other`.
    pub fn to(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// No program comes out.
    Error,
    /// The script runs, but perhaps not as meant.
    Warning,
}

/// One finding about a script.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Diagnostic {
    /// How bad it is.
    pub level: Level,
    /// Where.
    pub span: Span,
    /// What is wrong.
    pub message: String,
    /// What to do, when known.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(span: Span, message: impl Into<String>) -> Self {
        Self { level: Level::Error, span, message: message.into(), hint: None }
    }

    /// A warning at a place.
    pub fn warning(span: Span, message: impl Into<String>) -> Self {
        Self { level: Level::Warning, ..Self::error(span, message) }
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the nearest of these names as a hint, when one is near.
    #[must_use]
    pub fn nearest<'a>(mut self, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        if let Some(best) = nearest(name, known) {
            self.hint = Some(format!("did you mean `{best}`?"));
        }
        self
    }

    /// The finding as users see it: place, message, the line of the script with a mark below, hint.
    pub fn render(&self, file: &str, script: &str) -> String {
        let start = floor(script, self.span.start as usize);
        let line_start = script[..start].rfind('\n').map_or(0, |i| i + 1);
        let line_end = script[start..].find('\n').map_or(script.len(), |i| start + i);
        let (line_no, from, to) = position(script, self.span);
        let (column, width) = (from - 1, to - from);
        let level = match self.level {
            Level::Error => "ERROR",
            Level::Warning => "WARNING",
        };
        let clean =
            |text: &str| -> String { text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect() };
        let mut out = format!("{file}:{line_no}:{from}-{to}: {level}: {}\n", clean(&self.message));
        out += &format!("{}\n", clean(&script[line_start..line_end]));
        out += &format!("{}{}\n", " ".repeat(column), "~".repeat(width));
        if let Some(hint) = &self.hint {
            out += &format!("HINT: {}\n", clean(hint));
        }
        out
    }
}

/// Line and columns (first, and after the last) of a place, all from 1; what goes on in other lines does not count.
pub(crate) fn position(script: &str, span: Span) -> (usize, usize, usize) {
    let start = floor(script, span.start as usize);
    let line_start = script[..start].rfind('\n').map_or(0, |i| i + 1);
    let line_end = script[start..].find('\n').map_or(script.len(), |i| start + i);
    let column = script[line_start..start].chars().count();
    let end = floor(script, (span.end as usize).clamp(start, line_end.max(start)));
    let width = script[start..end.max(start)].chars().count().max(1);
    (script[..start].matches('\n').count() + 1, column + 1, column + 1 + width)
}

fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The known name that needs the fewest edits, if few enough to be a slip.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = name.chars().count().div_ceil(3).clamp(1, 3);
    let rank = |k: &'a str| {
        let swapped = k.len() == name.len() && sorted(k) == sorted(name);
        let edits = distance(name, k);
        (if swapped && edits == 2 { 1 } else { edits }, k.len().abs_diff(name.len()), k)
    };
    known.into_iter().map(rank).filter(|(d, ..)| *d <= limit).min().map(|(.., k)| k)
}

fn sorted(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.sort_unstable();
    bytes
}

/// Edits (insert, remove, replace) between two names.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().take(64).enumerate() {
        let mut before = i;
        let mut left = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let above = row.get(j + 1).copied().unwrap_or(usize::MAX - 1);
            let cell = (before + usize::from(ca != *cb)).min(left + 1).min(above + 1);
            before = above;
            if let Some(slot) = row.get_mut(j) {
                *slot = left;
            }
            left = cell;
        }
        if let Some(slot) = row.last_mut() {
            *slot = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

/// What a pass gives: a value or why not.
pub type Result<T> = std::result::Result<T, Diagnostic>;
