//! The header of a tool's script: its manual, its options and how its records are shown, as comments.
//!
//! ```text
//! // tcpconnect - the TCP connections this host opens
//! //
//! // Paragraphs of the manual.
//! //
//! // Options:
//! //   -p, --pid PID | pid      | what it does
//! //   -4            | family=2 | what it does
//! //   MIN_MS        | min_us   | a word without a dash
//! // Columns:
//! //   PID  | <7     | pid
//! //   COMM | <12.12 | comm
//! // Sample:
//! //   ...
//! ```
//!
//! `Columns @flows:` shows a map, `Histogram @delay: usecs` one with buckets, and `Histogram @delay: usecs, pid | 0 |
//! key` one for each key; `Before:` is printed before the first
//! line; `Needs:` and `Lost:` belong to the manual.

use crate::columns::Column;

/// A shipped tool.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// What it is called.
    pub name: String,
    /// One line.
    pub title: String,
    /// Paragraphs.
    pub manual: Vec<String>,
    /// Options and words it takes.
    pub options: Vec<Opt>,
    /// How records are shown.
    pub columns: Vec<Column>,
    /// How maps are shown, by name without `@`.
    pub tables: Vec<(String, Vec<Column>)>,
    /// Maps shown as histograms: name, unit, and what the key is called and how it is written.
    pub histograms: Vec<(String, String, Option<Column>)>,
    /// Text before the first line.
    pub before: Vec<String>,
    /// What it needs of a kernel.
    pub needs: Vec<String>,
    /// What is not seen, or differs from what the tool's namesakes show.
    pub lost: Vec<String>,
    /// Sample output.
    pub sample: Vec<String>,
    /// The script, header included.
    pub script: &'static str,
}

/// An option, or a word without a dash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opt {
    /// `-p`
    pub short: Option<char>,
    /// `--pid`
    pub long: Option<String>,
    /// `PID`: what kind of value follows.
    pub arg: Option<String>,
    /// Named parameter of the script, or name columns depend on.
    pub sets: String,
    /// What it is set to when no value follows, or when a word is left out.
    pub value: Option<String>,
    /// What it does.
    pub text: String,
}

impl Tool {
    /// Whether it has an option that sets this.
    #[must_use]
    pub fn takes(&self, sets: &str) -> bool {
        self.options.iter().any(|opt| opt.sets == sets)
    }
}

impl Opt {
    /// As it is written in a manual.
    #[must_use]
    pub fn shown(&self) -> String {
        let short = self.short.map(|c| format!("-{c}"));
        let long = self.long.as_ref().map(|name| format!("--{name}"));
        let mut words: Vec<String> = short.into_iter().chain(long).collect();
        if words.is_empty() {
            return self.arg.clone().unwrap_or_default();
        }
        let last = words.pop().unwrap_or_default();
        words.push(match &self.arg {
            Some(arg) => format!("{last} {arg}"),
            None => last,
        });
        words.join(", ")
    }

    /// Whether it is a word without a dash.
    #[must_use]
    pub fn positional(&self) -> bool {
        self.short.is_none() && self.long.is_none()
    }
}

/// Reads the header of a script.
pub fn parse(script: &'static str) -> Result<Tool, String> {
    let lines: Vec<&str> = script
        .lines()
        .map_while(|l| l.strip_prefix("//"))
        .map(|l| l.strip_prefix(' ').unwrap_or(l))
        .collect();
    let first = lines.first().copied().unwrap_or_default();
    let Some((name, title)) = first.split_once(" - ") else {
        return Err(format!("the first line is `// name - title`, not `{first}`"));
    };
    let mut tool = Tool {
        name: name.to_owned(),
        title: title.to_owned(),
        manual: Vec::new(),
        options: Vec::new(),
        columns: Vec::new(),
        tables: Vec::new(),
        histograms: Vec::new(),
        before: Vec::new(),
        needs: Vec::new(),
        lost: Vec::new(),
        sample: Vec::new(),
        script,
    };
    let mut section = String::new();
    let mut paragraph = String::new();
    for (n, line) in lines.iter().enumerate().skip(1) {
        let wrong = |what: String| format!("{name}, line {}: {what}", n + 1);
        if !line.starts_with(' ') && line.ends_with(':') && heading(line) {
            section = line.trim_end_matches(':').to_owned();
            continue;
        }
        if let Some(rest) = line.strip_prefix("Histogram @") {
            let (map, unit) = rest.split_once(": ").ok_or_else(|| wrong("a histogram has a unit".into()))?;
            let (unit, key) = unit.split_once(", ").map_or((unit, None), |(unit, key)| (unit, Some(key)));
            let key = key.map(Column::parse).transpose().map_err(wrong)?;
            tool.histograms.push((map.to_owned(), unit.to_owned(), key));
            continue;
        }
        if section.is_empty() {
            match line.trim() {
                "" => tool.manual.extend((!paragraph.is_empty()).then(|| std::mem::take(&mut paragraph))),
                text => {
                    if !paragraph.is_empty() {
                        paragraph.push(' ');
                    }
                    paragraph.push_str(text);
                }
            }
            continue;
        }
        let text = line.strip_prefix("  ").unwrap_or(line.trim_start());
        match section.as_str() {
            "Sample" => tool.sample.push(text.to_owned()),
            _ if text.is_empty() => {}
            "Options" => tool.options.push(option(text).map_err(wrong)?),
            "Columns" => tool.columns.push(Column::parse(text).map_err(wrong)?),
            "Before" => tool.before.push(text.to_owned()),
            "Needs" => tool.needs.push(text.to_owned()),
            "Lost" => tool.lost.push(text.to_owned()),
            other => match other.strip_prefix("Columns @") {
                Some(map) => {
                    let column = Column::parse(text).map_err(wrong)?;
                    match tool.tables.iter_mut().find(|(known, _)| known == map) {
                        Some((_, columns)) => columns.push(column),
                        None => tool.tables.push((map.to_owned(), vec![column])),
                    }
                }
                None => return Err(wrong(format!("unknown section `{other}`"))),
            },
        }
    }
    if !paragraph.is_empty() {
        tool.manual.push(paragraph);
    }
    while tool.sample.last().is_some_and(String::is_empty) {
        tool.sample.pop();
    }
    Ok(tool)
}

/// Whether a line that ends with a colon opens a section.
fn heading(line: &str) -> bool {
    let word = line.trim_end_matches(':');
    matches!(word, "Options" | "Columns" | "Before" | "Needs" | "Lost" | "Sample")
        || word.starts_with("Columns @")
}

fn option(text: &str) -> Result<Opt, String> {
    let parts: Vec<&str> = text.splitn(3, '|').map(str::trim).collect();
    let [forms, sets, text] = parts[..] else { return Err("an option has three parts".to_owned()) };
    let (sets, value) = sets.split_once('=').map_or((sets, None), |(name, v)| (name, Some(v.to_owned())));
    let mut opt =
        Opt { short: None, long: None, arg: None, sets: sets.to_owned(), value, text: text.to_owned() };
    for word in forms.split([',', ' ']).filter(|word| !word.is_empty()) {
        if let Some(long) = word.strip_prefix("--") {
            opt.long = Some(long.to_owned());
        } else if let Some(short) = word.strip_prefix('-') {
            let mut chars = short.chars();
            opt.short = chars.next().filter(|_| chars.next().is_none());
        } else {
            opt.arg = Some(word.to_owned());
        }
    }
    if opt.positional() && opt.arg.is_none() || opt.sets.is_empty() {
        return Err(format!("`{forms}` is no option"));
    }
    Ok(opt)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "// one - shows one thing
//
// First line
// of a paragraph.
//
// A second.
//
// Options:
//   -p, --pid PID | pid      | this process only
//   -4            | family=2 | IPv4 only
//   MIN_MS        | min_us=0 | only from so long on
// Columns:
//   PID | <7 | pid
// Columns @flows:
//   N | >5 | value
// Histogram @delay: usecs
// Sample:
//   PID
//     7
BEGIN { }
// Columns:
";

    #[test]
    fn a_header_is_read_up_to_the_script() {
        let tool = parse(ONE).unwrap();
        assert_eq!((tool.name.as_str(), tool.title.as_str()), ("one", "shows one thing"));
        assert_eq!(tool.manual, ["First line of a paragraph.", "A second."]);
        assert_eq!(
            tool.options.iter().map(Opt::shown).collect::<Vec<_>>(),
            ["-p, --pid PID", "-4", "MIN_MS"]
        );
        assert_eq!(tool.options[1].value.as_deref(), Some("2"));
        assert_eq!((tool.columns.len(), tool.tables.len()), (1, 1));
        assert_eq!(tool.histograms, [("delay".to_owned(), "usecs".to_owned(), None)]);
        assert_eq!(tool.sample, ["PID", "  7"]);
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        assert!(parse("BEGIN {}").unwrap_err().contains("name - title"));
        let bad = parse("// a - b\n// Options:\n//   -x\n").unwrap_err();
        assert_eq!(bad, "a, line 3: an option has three parts");
    }
}
