//! nft's options, which stand before the command.

use crate::flags::{self, Flag, Style};
use crate::{Session, ToolError};

const STYLE: Style = Style { single_dash: false, anywhere: false, code: 1 };

const FLAGS: &[Flag] = &[
    Flag::switch('h', "help", "this text"),
    Flag::switch('v', "version", "the version"),
    Flag::switch('V', "long-version", "the version").refused("-v says all there is"),
    Flag::switch('a', "handle", "show handles"),
    Flag::switch('n', "numeric", "numbers instead of words"),
    Flag::switch('s', "stateless", "without counters and remaining times"),
    Flag::switch('t', "terse", "without the elements of sets"),
    Flag::switch('S', "service", "names of ports"),
    Flag::switch('N', "reversedns", "names of addresses").refused("it would ask name servers"),
    Flag::switch('u', "guid", "names of users"),
    Flag::switch('p', "numeric-protocol", "numbers of protocols"),
    Flag::switch('y', "numeric-priority", "numbers of priorities"),
    Flag::switch('T', "numeric-time", "times as seconds").refused("times are shown as words"),
    Flag::switch('j', "json", "JSON in libnftables' form"),
    Flag::switch('e', "echo", "show what was added"),
    Flag::switch('c', "check", "check without carrying out"),
    Flag::value('f', "file", "FILE", "commands from a file, - for standard input"),
    Flag::switch('i', "interactive", "commands from a prompt").refused("give commands as words or with -f"),
    Flag::switch('o', "optimize", "rewrite the ruleset").refused("rulesets are taken as they are"),
    Flag::value('I', "includepath", "DIRECTORY", "where included files are")
        .refused("files are read without includes"),
    Flag::value('D', "define", "NAME=VALUE", "a variable"),
    Flag::value('d', "debug", "LEVEL", "the tool's own diagnostics")
        .refused("there is no bytecode to show but -j"),
];

/// What was asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Options {
    pub(super) handle: bool,
    pub(super) numeric: bool,
    pub(super) stateless: bool,
    pub(super) terse: bool,
    pub(super) service: bool,
    pub(super) guid: bool,
    pub(super) numeric_protocol: bool,
    pub(super) numeric_priority: bool,
    pub(super) json: bool,
    pub(super) echo: bool,
    pub(super) check: bool,
    pub(super) file: Option<String>,
    pub(super) defines: Vec<(String, String)>,
    /// The command's words, joined by spaces.
    pub(super) command: String,
}

/// `None` when a text was asked for and is written.
pub(super) fn parse(session: &mut Session<'_>, args: &[String]) -> Result<Option<Options>, ToolError> {
    let parsed = flags::parse("nft", FLAGS, STYLE, args)?;
    if parsed.has("help") {
        let text = flags::help(FLAGS, STYLE);
        writeln!(session.out, "Usage: nft [ options ] [ cmds... ]\n\n{text}")?;
        return Ok(None);
    }
    if parsed.has("version") {
        writeln!(session.out, "nftables v1.0.6 (Lester Gooch #5)")?;
        return Ok(None);
    }
    let mut defines = Vec::new();
    for text in parsed.values("define") {
        let Some((name, value)) = text.split_once('=') else {
            return Err(ToolError::usage(format!("nft: --define {text}: write NAME=VALUE"), 1));
        };
        defines.push((name.to_owned(), value.to_owned()));
    }
    Ok(Some(Options {
        handle: parsed.has("handle"),
        numeric: parsed.has("numeric"),
        stateless: parsed.has("stateless"),
        terse: parsed.has("terse"),
        service: parsed.has("service"),
        guid: parsed.has("guid"),
        numeric_protocol: parsed.has("numeric-protocol"),
        numeric_priority: parsed.has("numeric-priority"),
        json: parsed.has("json") || session.json,
        echo: parsed.has("echo"),
        check: parsed.has("check"),
        file: parsed.value("file").map(str::to_owned),
        defines,
        command: parsed.words.join(" "),
    }))
}

/// A word that does not fit, pointed at as nft does.
pub(super) fn syntax(text: &str, word: &str, expected: &str) -> ToolError {
    let at = text.find(word).unwrap_or(text.len());
    let column = text.get(..at).map_or(0, |head| head.chars().count());
    let mark = "^".repeat(word.chars().count().max(1));
    let unexpected = if word.is_empty() { "end of command" } else { word };
    let text = format!(
        "Error: syntax error, unexpected {unexpected}, expecting {expected}\n{text}\n{:column$}{mark}",
        ""
    );
    ToolError::usage(text, 1)
}

/// An object that is not there, pointed at as nft does.
pub(super) fn missing(text: &str, word: &str) -> ToolError {
    let at = text.rfind(word).unwrap_or(0);
    let column = text.get(..at).map_or(0, |head| head.chars().count());
    let mark = "^".repeat(word.chars().count().max(1));
    ToolError::failed(format!("Error: No such file or directory\n{text}\n{:column$}{mark}", ""), 1)
}
