//! The command line: what can be typed, and nothing about what it does.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Names why the network of this Linux host misbehaves, with proof.
#[derive(Debug, Parser)]
#[command(name = "netwhy", version, about, arg_required_else_help = true, propagate_version = true)]
#[command(after_help = "Exit codes of the questions: 0 healthy, 1 problem found, 2 usage, 3 undetermined,\n\
4 a needed fact was denied, 5 internal error.\n\n\
Try it safely: netwhy lab try nft-drop-output")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options every verb understands.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Global {
    /// Print one JSON document
    #[arg(short, long, global = true)]
    pub(crate) json: bool,
    /// Print JSON, one line per document
    #[arg(long, global = true, conflicts_with = "json")]
    pub(crate) jsonl: bool,
    /// Show more: -v all evidence, -vv every stage of the path
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Use colour
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub(crate) color: Color,
    /// Ask inside this network namespace: a name, a process id or a path
    #[arg(long, global = true, value_name = "NAME|PID|PATH")]
    pub(crate) netns: Option<String>,
    /// Ask as this container: a name, an id or the beginning of one (its namespace, its /etc)
    #[arg(long, global = true, value_name = "NAME|ID", conflicts_with = "netns")]
    pub(crate) container: Option<String>,
}

/// When to colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Why can it not be reached? Names the cause, with proof, fix and undo
    Connect(ConnectArgs),
    /// The predicted path of a packet through this host, both directions
    Walk(WalkArgs),
    /// What a cause, counter, drop reason, errno or tcp_info field means (offline)
    Explain(ExplainArgs),
    /// What can be observed, as JSON
    Facts(FactsArgs),
    /// What needs which privilege or kernel feature, and what is available now
    Capabilities,
    /// The JSON Schema of the answer
    Schema,
    /// Run a probe script in bpftrace's language
    #[command(
        visible_alias = "bpftrace",
        version = concat!(env!("CARGO_PKG_VERSION"), " (the language of bpftrace v0.27)"),
        help_template = "{about}\n\nUSAGE: {usage}\n\n{all-args}"
    )]
    Probe(ProbeArgs),
    /// Run a shipped tracing tool (tcplife, tcpdrop, ...); `netwhy TOOL` does the same, --list shows them
    #[command(disable_help_flag = true)]
    Trace(TraceArgs),
    /// Faults on purpose in private network namespaces: list, try, shell, score
    Lab(LabArgs),
    /// Completions for a shell, on standard output
    #[command(hide = true)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// `netwhy connect`
#[derive(Debug, Clone, Args)]
pub(crate) struct ConnectArgs {
    /// HOST:PORT, a URL, HOST, tcp:// udp:// tls:// icmp://HOST:PORT, [v6]:PORT; with --inbound also :PORT
    pub(crate) target: String,
    /// The target is a service of this host: why can clients not reach it?
    #[arg(long, conflicts_with = "transit")]
    pub(crate) inbound: bool,
    /// This host routes or switches between the two: why does the flow not pass?
    #[arg(long, requires = "from")]
    pub(crate) transit: bool,
    /// The client's address, for --inbound and --transit
    #[arg(long, value_name = "IP")]
    pub(crate) from: Option<IpAddr>,
    /// Only IPv4
    #[arg(short = '4', conflicts_with = "ipv6")]
    pub(crate) ipv4: bool,
    /// Only IPv6
    #[arg(short = '6')]
    pub(crate) ipv6: bool,
    /// Socket mark (SO_MARK) of the victim
    #[arg(long, value_name = "N", value_parser = parse_number, default_value = "0")]
    pub(crate) mark: u32,
    /// Device the victim's socket is bound to; for --inbound and --transit the device of arrival
    #[arg(long, value_name = "IF")]
    pub(crate) dev: Option<String>,
    /// Address the victim sends from (bind)
    #[arg(long, value_name = "IP")]
    pub(crate) source: Option<IpAddr>,
    /// Wall-clock budget in seconds
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = parse_seconds)]
    pub(crate) timeout: f64,
    /// Only observe and predict: send nothing
    #[arg(long)]
    pub(crate) passive: bool,
    /// Also write every fact of this answer to a file, for replay
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
}

/// `netwhy trace`
#[derive(Debug, Clone, Args)]
pub(crate) struct TraceArgs {
    /// The tool and its options: `netwhy trace TOOL --help`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "TOOL")]
    pub(crate) args: Vec<String>,
}

/// `netwhy walk`
#[derive(Debug, Clone, Args)]
pub(crate) struct WalkArgs {
    /// tcp, udp or icmp
    pub(crate) proto: String,
    /// Source ADDRESS[:PORT]
    pub(crate) src: String,
    /// Destination ADDRESS[:PORT]
    pub(crate) dst: String,
    /// Device of arrival; without it the packet is made here
    #[arg(long, value_name = "DEV")]
    pub(crate) r#in: Option<String>,
}

/// `netwhy explain`
#[derive(Debug, Clone, Args)]
pub(crate) struct ExplainArgs {
    /// The word
    pub(crate) word: String,
}

/// `netwhy facts`
#[derive(Debug, Clone, Args)]
pub(crate) struct FactsArgs {
    /// A family; without it the list of them (with --json: every family that needs no flow)
    pub(crate) family: Option<String>,
    /// Facts about the flow to this address: ADDRESS:PORT, udp://ADDRESS:PORT
    #[arg(long, value_name = "TARGET")]
    pub(crate) about: Option<String>,
    /// List the families
    #[arg(long)]
    pub(crate) list: bool,
}

/// `netwhy probe`
#[derive(Debug, Clone, Args)]
pub(crate) struct ProbeArgs {
    /// The script itself
    #[arg(short = 'e', value_name = "PROGRAM")]
    pub(crate) program: Option<String>,
    /// List probes that match a pattern such as 'rawtracepoint:tcp*' or 'struct sock', or those of a script
    #[arg(short = 'l', long)]
    pub(crate) list: bool,
    /// Only compile, and print what came of it; a stage's name may follow (-d all)
    #[arg(short = 'd', long = "debug", value_name = "STAGE", num_args = 0..=1, default_missing_value = "all")]
    #[arg(value_parser = ProbeDump::read)]
    pub(crate) dump: Option<ProbeDump>,
    /// text or json
    #[arg(short = 'f', value_name = "FORMAT", value_enum, default_value_t = ProbeFormat::Text)]
    pub(crate) format: ProbeFormat,
    /// Write results to a file
    #[arg(short = 'o', long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// When results are written: after each line, when there are many, or at once
    #[arg(short = 'B', value_name = "MODE", value_enum, default_value_t = ProbeBuffer::Line)]
    pub(crate) buffer: ProbeBuffer,
    /// No message but errors
    #[arg(short = 'q', long)]
    pub(crate) quiet: bool,
    /// Run this command (no shell) and end with it; user probes see only it
    #[arg(short = 'c', long = "cmd", value_name = "COMMAND", conflicts_with = "pid")]
    pub(crate) command: Option<String>,
    /// End with this process; user probes see only it
    #[arg(short = 'p', long, value_name = "PID")]
    pub(crate) pid: Option<String>,
    /// Warn of reads that fail
    #[arg(short = 'k', long)]
    pub(crate) warnings: bool,
    /// No warnings
    #[arg(long)]
    pub(crate) no_warnings: bool,
    /// Say what this kernel attaches
    #[arg(long)]
    pub(crate) info: bool,
    /// End once everything is attached
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Allow functions that change the system
    #[arg(long)]
    pub(crate) r#unsafe: bool,
    /// Taken for scripts written for bpftrace; there is no such representation here
    #[arg(long = "verify-llvm-ir", hide = true)]
    pub(crate) verify: bool,
    /// Taken as well: the kernel itself tells every process that runs the file
    #[arg(long, hide = true)]
    pub(crate) usdt_file_activation: bool,
    /// The script's file (- is standard input) unless -e is given, then positional parameters $1, $2, ...; after --,
    /// named ones (--name=value)
    #[arg(allow_negative_numbers = true)]
    pub(crate) args: Vec<String>,
}

/// What follows -d: a stage, or already the script's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ProbeDump {
    /// A stage.
    Stage(ProbeStage),
    /// `-d FILE`: everything of this file.
    Script(String),
}

impl ProbeDump {
    fn read(text: &str) -> Result<Self, std::convert::Infallible> {
        Ok(match ProbeStage::from_str(text, false) {
            Ok(stage) => ProbeDump::Stage(stage),
            Err(_) => ProbeDump::Script(text.to_owned()),
        })
    }
}

/// What -d shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProbeStage {
    /// Everything there is: maps, actions, programs
    All,
    /// The syntax tree
    Ast,
    /// The programs
    Codegen,
}

/// When results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProbeBuffer {
    /// At the end of a line
    Line,
    /// When there are many
    Full,
    /// At once
    None,
}

/// How a script's results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProbeFormat {
    /// As bpftrace's text
    Text,
    /// As bpftrace's JSON, one object a line
    Json,
}

/// `netwhy lab`
#[derive(Debug, Clone, Args)]
pub(crate) struct LabArgs {
    #[command(subcommand)]
    pub(crate) verb: LabVerb,
}

/// What the lab does.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum LabVerb {
    /// The cases
    List,
    /// Break, ask, answer, fix, verify: one case from end to end
    Try {
        /// The case
        case: String,
    },
    /// A shell inside a broken case
    Shell {
        /// The case
        case: String,
    },
    /// Write the facts of every case that is answered rightly, for the replay tests
    #[command(hide = true)]
    Record {
        /// Where to: DIR/CASE/KERNEL.json
        dir: PathBuf,
        /// Only cases whose name contains this
        #[arg(long, value_name = "PATTERN")]
        only: Option<String>,
    },
    /// Every case, scored
    Score {
        /// Only cases whose name contains this
        #[arg(long, value_name = "PATTERN")]
        only: Option<String>,
    },
}

/// A mistake on the command line that clap could not see.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

fn parse_number(text: &str) -> Result<u32, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| format!("{text:?} is not a number from 0 to 4294967295"))
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(s) if (0.5..=600.0).contains(&s) => Ok(s),
        _ => Err(format!("{text:?} is not a number of seconds from 0.5 to 600")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
