//! A tool's flags as a table, and a parser for the two manners of writing them: getopt's (`-tan`, `--all`,
//! `--family=inet`) and iproute2's (`-details`, `-br`, `-s -s`, every word from one dash).

use crate::session::ToolError;

/// What netwhy does with a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// As the original.
    Supported,
    /// Accepted, without effect here; says why that loses nothing.
    Ignored(&'static str),
    /// Refused; says why and what to use instead.
    Refused(&'static str),
}

/// One flag.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    /// The name the code asks for, and the long spelling without dashes.
    pub long: &'static str,
    /// The letter, or `'\0'`.
    pub short: char,
    /// What its value is called, if it takes one.
    pub value: Option<&'static str>,
    /// Whether the value may be missing (`--json[=FORMAT]`); then only `=` or the same word gives one.
    pub optional: bool,
    /// What it does, in a few words.
    pub help: &'static str,
    /// What netwhy does with it.
    pub state: State,
}

impl Flag {
    /// A switch.
    #[must_use]
    pub const fn switch(short: char, long: &'static str, help: &'static str) -> Self {
        Flag { long, short, value: None, optional: false, help, state: State::Supported }
    }

    /// A flag with a value.
    #[must_use]
    pub const fn value(short: char, long: &'static str, value: &'static str, help: &'static str) -> Self {
        Flag { long, short, value: Some(value), optional: false, help, state: State::Supported }
    }

    /// The same, with a value that may be missing.
    #[must_use]
    pub const fn maybe(self) -> Self {
        Flag { optional: true, ..self }
    }

    /// The same, refused.
    #[must_use]
    pub const fn refused(self, why: &'static str) -> Self {
        Flag { state: State::Refused(why), ..self }
    }

    /// The same, without effect.
    #[must_use]
    pub const fn ignored(self, why: &'static str) -> Self {
        Flag { state: State::Ignored(why), ..self }
    }
}

/// How a tool writes its flags.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Long words follow one dash, may be shortened, and letters are not joined (`ip -br -s -s`).
    pub single_dash: bool,
    /// Flags may stand behind other words; otherwise the first other word ends them.
    pub anywhere: bool,
    /// The exit code for a wrong flag.
    pub code: u8,
}

/// A command line taken apart.
#[derive(Debug, Clone, Default)]
pub struct Parsed {
    given: Vec<(&'static str, Option<String>)>,
    /// The other words, in order.
    pub words: Vec<String>,
}

impl Parsed {
    /// Whether a flag was given.
    #[must_use]
    pub fn has(&self, long: &str) -> bool {
        self.given.iter().any(|(name, _)| *name == long)
    }

    /// How often it was given.
    #[must_use]
    pub fn count(&self, long: &str) -> usize {
        self.given.iter().filter(|(name, _)| *name == long).count()
    }

    /// Its last value.
    #[must_use]
    pub fn value(&self, long: &str) -> Option<&str> {
        self.given.iter().rev().find(|(name, _)| *name == long)?.1.as_deref()
    }

    /// All its values, in order.
    pub fn values<'a>(&'a self, long: &'a str) -> impl Iterator<Item = &'a str> {
        self.given.iter().filter(move |(name, _)| *name == long).filter_map(|(_, value)| value.as_deref())
    }

    /// Every flag in the order it was given.
    pub fn given(&self) -> impl Iterator<Item = (&'static str, Option<&str>)> {
        self.given.iter().map(|(name, value)| (*name, value.as_deref()))
    }
}

/// Takes a command line apart. A flag that is not in the table, lacks its value or is refused is an error
/// that names it.
pub fn parse(tool: &str, flags: &[Flag], style: Style, args: &[String]) -> Result<Parsed, ToolError> {
    let mut parsed = Parsed::default();
    let mut rest = args.iter();
    while let Some(word) = rest.next() {
        if word == "--" {
            parsed.words.extend(rest.cloned());
            break;
        }
        let Some(body) = word.strip_prefix('-').filter(|body| !body.is_empty()) else {
            parsed.words.push(word.clone());
            if !style.anywhere {
                parsed.words.extend(rest.cloned());
                break;
            }
            continue;
        };
        let reader = Reader { tool, flags, style, word };
        if let Some(long) = body.strip_prefix('-') {
            reader.long(long, &mut rest, &mut parsed)?;
        } else if style.single_dash {
            reader.long(body, &mut rest, &mut parsed)?;
        } else {
            reader.letters(body, &mut rest, &mut parsed)?;
        }
    }
    Ok(parsed)
}

struct Reader<'a> {
    tool: &'a str,
    flags: &'a [Flag],
    style: Style,
    word: &'a str,
}

impl Reader<'_> {
    fn long<'a>(
        &self,
        body: &str,
        rest: &mut impl Iterator<Item = &'a String>,
        parsed: &mut Parsed,
    ) -> Result<(), ToolError> {
        let (name, inline) = match body.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (body, None),
        };
        let flag = self.named(name)?;
        let value = match (flag.value, inline) {
            (None, Some(_)) => return Err(self.wrong(&format!("{} takes no value", self.word))),
            (None, None) => None,
            (Some(_), Some(value)) => Some(value),
            (Some(_), None) if flag.optional => None,
            (Some(what), None) => Some(self.next(rest, what)?),
        };
        self.put(flag, value, parsed)
    }

    fn letters<'a>(
        &self,
        body: &str,
        rest: &mut impl Iterator<Item = &'a String>,
        parsed: &mut Parsed,
    ) -> Result<(), ToolError> {
        let mut at = 0;
        while let Some(letter) = body[at..].chars().next() {
            at += letter.len_utf8();
            let Some(flag) = self.flags.iter().find(|flag| flag.short == letter && letter != '\0') else {
                return Err(self.unknown(&format!("-{letter}")));
            };
            let Some(what) = flag.value else {
                self.put(flag, None, parsed)?;
                continue;
            };
            let inline = &body[at..];
            let value = match (inline.is_empty(), flag.optional) {
                (false, _) => Some(inline.strip_prefix('=').unwrap_or(inline).to_owned()),
                (true, true) => None,
                (true, false) => Some(self.next(rest, what)?),
            };
            return self.put(flag, value, parsed);
        }
        Ok(())
    }

    /// The flag of a whole or shortened name.
    fn named(&self, name: &str) -> Result<&Flag, ToolError> {
        let is_letter = |flag: &&Flag| flag.short != '\0' && name.chars().eq([flag.short]);
        if let Some(flag) = self.flags.iter().find(|flag| flag.long == name) {
            return Ok(flag);
        }
        if self.style.single_dash
            && let Some(flag) = self.flags.iter().find(is_letter)
        {
            return Ok(flag);
        }
        let mut likely = self.flags.iter().filter(|flag| !name.is_empty() && flag.long.starts_with(name));
        match (likely.next(), likely.next()) {
            // iproute2 takes the first that fits; getopt wants the only one.
            (Some(flag), second) if self.style.single_dash || second.is_none() => Ok(flag),
            (Some(a), Some(b)) => {
                Err(self.wrong(&format!("option '{}' is ambiguous: --{}, --{}", self.word, a.long, b.long)))
            }
            _ => Err(self.unknown(self.word)),
        }
    }

    fn next<'a>(&self, rest: &mut impl Iterator<Item = &'a String>, what: &str) -> Result<String, ToolError> {
        rest.next().cloned().ok_or_else(|| self.wrong(&format!("{} needs a value: {what}", self.word)))
    }

    fn put(&self, flag: &Flag, value: Option<String>, parsed: &mut Parsed) -> Result<(), ToolError> {
        if let State::Refused(why) = flag.state {
            let what = format!("{} {}", self.tool, self.word);
            return Err(ToolError::Refused { what, why: why.to_owned(), code: self.style.code });
        }
        parsed.given.push((flag.long, value));
        Ok(())
    }

    fn wrong(&self, text: &str) -> ToolError {
        ToolError::usage(format!("{}: {text}", self.tool), self.style.code)
    }

    fn unknown(&self, what: &str) -> ToolError {
        self.wrong(&format!("unknown option '{what}'; netwhy {} --help lists what is understood", self.tool))
    }
}

/// The table as a help text.
#[must_use]
pub fn help(flags: &[Flag], style: Style) -> String {
    let dash = if style.single_dash { "-" } else { "--" };
    let mut out = String::new();
    for flag in flags {
        let short = match flag.short {
            '\0' => "    ".to_owned(),
            letter => format!("-{letter}, "),
        };
        let value = match (flag.value, flag.optional) {
            (None, _) => String::new(),
            (Some(value), false) => format!(" {value}"),
            (Some(value), true) => format!("[={value}]"),
        };
        let note = match flag.state {
            State::Supported => String::new(),
            State::Ignored(why) => format!(" (no effect: {why})"),
            State::Refused(why) => format!(" (refused: {why})"),
        };
        let names = format!("{short}{dash}{}{value}", flag.long);
        out.push_str(&format!("  {names:<28} {}{note}\n", flag.help));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: &[Flag] = &[
        Flag::switch('t', "tcp", "TCP"),
        Flag::switch('a', "all", "all"),
        Flag::value('f', "family", "FAMILY", "one family"),
        Flag::switch('Z', "context", "labels").refused("no SELinux here"),
        Flag::value('j', "json", "FORM", "JSON").maybe(),
    ];
    const GETOPT: Style = Style { single_dash: false, anywhere: true, code: 255 };
    const IP: Style = Style { single_dash: true, anywhere: false, code: 255 };

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn ok(style: Style, text: &str) -> Parsed {
        parse("ss", FLAGS, style, &words(text)).unwrap()
    }

    #[test]
    fn letters_are_joined_and_values_follow_or_stick() {
        let parsed = ok(GETOPT, "-taf inet state --family=inet6 -flink established --js");
        assert_eq!((parsed.count("tcp"), parsed.count("all")), (1, 1));
        assert_eq!(parsed.values("family").collect::<Vec<_>>(), ["inet", "inet6", "link"]);
        assert_eq!(parsed.words, ["state", "established"]);
        assert!(parsed.has("json") && parsed.value("json").is_none());
    }

    #[test]
    fn words_from_one_dash_may_be_shortened_and_end_at_the_first_other_word() {
        let parsed = ok(IP, "-al -t -f inet route show -t");
        assert!(parsed.has("all") && parsed.has("tcp"));
        assert_eq!(parsed.words, ["route", "show", "-t"]);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (text, named) in [
            ("-tQ", "-Q"),
            ("--nonsense", "--nonsense"),
            ("-f", "FAMILY"),
            ("-tZ", "-tZ"),
            ("--tcp=1", "--tcp=1"),
        ] {
            let error = parse("ss", FLAGS, GETOPT, &words(text)).unwrap_err();
            assert!(error.to_string().contains(named), "{text}: {error}");
            assert_eq!(error.code(), 255);
        }
    }
}
