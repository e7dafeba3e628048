//! iptables' command line.

use super::Called;
use crate::ToolError;
use crate::flags::{self, Flag, Style};

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// `-L [CHAIN [NUMBER]]`.
    List {
        chain: Option<String>,
        number: Option<usize>,
    },
    /// `-S [CHAIN [NUMBER]]`.
    Rules {
        chain: Option<String>,
        number: Option<usize>,
    },
    /// `iptables-save`.
    Save,
    Zero,
    Help,
    Version,
}

/// The command line, understood.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) command: Command,
    pub(super) table: String,
    /// `iptables-save -t`: nothing but this table.
    pub(super) only_table: Option<String>,
    pub(super) verbose: bool,
    pub(super) numeric: bool,
    pub(super) exact: bool,
    pub(super) line_numbers: bool,
    /// `iptables-save -c`.
    pub(super) counters: bool,
}

const STYLE: Style = Style { single_dash: false, anywhere: true, code: 2 };

const FLAGS: &[Flag] = &[
    Flag::switch('L', "list", "list the rules of a chain or of all"),
    Flag::switch('S', "list-rules", "print the rules as commands"),
    Flag::switch('Z', "zero", "zero counters"),
    Flag::value('t', "table", "TABLE", "filter, nat, mangle, raw or security"),
    Flag::switch('v', "verbose", "with counters and devices"),
    Flag::switch('n', "numeric", "no names of ports and users"),
    Flag::switch('x', "exact", "counters in full"),
    Flag::switch('\0', "line-numbers", "with the rules' numbers"),
    Flag::value('w', "wait", "SECONDS", "wait for the lock").maybe().ignored("reading takes no lock"),
    Flag::switch('h', "help", "this text"),
    Flag::switch('V', "version", "the version"),
    Flag::switch('4', "ipv4", "IPv4").ignored("the name it is called by says it"),
    Flag::switch('6', "ipv6", "IPv6").ignored("the name it is called by says it"),
    Flag::value('\0', "modprobe", "COMMAND", "load modules").refused("netwhy loads no modules"),
];

const SAVE_FLAGS: &[Flag] = &[
    Flag::switch('c', "counters", "with counters"),
    Flag::value('t', "table", "TABLE", "only this table"),
    Flag::value('f', "file", "FILE", "write to a file").refused("redirect the output"),
    Flag::value('M', "modprobe", "COMMAND", "load modules").refused("netwhy loads no modules"),
    Flag::switch('h', "help", "this text"),
    Flag::switch('V', "version", "the version"),
];

pub(super) fn help(called: &Called) -> String {
    let flags = if called.save { SAVE_FLAGS } else { FLAGS };
    format!("Usage: {} OPTIONS\n\n{}", called.name, flags::help(flags, STYLE))
}

pub(super) fn wrong(called: &Called, text: impl std::fmt::Display) -> ToolError {
    let prefix = called.prefix();
    let name = &called.name;
    ToolError::usage(format!("{prefix}: {text}\nTry `{name} -h' or '{name} --help' for more information."), 2)
}

pub(super) fn parse(called: &Called, args: &[String]) -> Result<Options, ToolError> {
    let parsed = flags::parse(&called.name, if called.save { SAVE_FLAGS } else { FLAGS }, STYLE, args)?;
    let mut words = parsed.words.iter();
    let chain = words.next().cloned();
    let number = words.next();
    let number = number
        .map(|word| {
            let number = word.parse().ok().filter(|number| *number > 0);
            number.ok_or_else(|| wrong(called, format_args!("Invalid rule number `{word}'")))
        })
        .transpose()?;
    if let Some(word) = words.next() {
        return Err(wrong(called, format_args!("Bad argument `{word}'")));
    }
    let command = match () {
        () if parsed.has("help") => Command::Help,
        () if parsed.has("version") => Command::Version,
        () if called.save => Command::Save,
        () if parsed.has("zero") => Command::Zero,
        () if parsed.has("list") && parsed.has("list-rules") => {
            return Err(wrong(called, "Cannot use -S with -L"));
        }
        () if parsed.has("list") => Command::List { chain, number },
        () if parsed.has("list-rules") => Command::Rules { chain, number },
        () => return Err(wrong(called, "no command specified")),
    };
    Ok(Options {
        command,
        table: parsed.value("table").unwrap_or("filter").to_owned(),
        only_table: parsed.value("table").map(str::to_owned),
        verbose: parsed.has("verbose"),
        numeric: parsed.has("numeric"),
        exact: parsed.has("exact"),
        line_numbers: parsed.has("line-numbers"),
        counters: parsed.has("counters"),
    })
}
