//! `ip`: devices, addresses, routes, rules, neighbours, nexthops, namespaces, tunnels' keys hidden, and what
//! changes them.

pub(crate) mod addr;
mod change;
mod kinds;
pub(crate) mod link;
mod misc;
mod monitor;
mod neigh;
mod netns;
mod nexthop;
mod read;
mod route;
mod rule;
mod stats;

use crate::iproute::words::{Words, pick};
use crate::iproute::{Ctx, IP_FLAGS, Options, STYLE, WRONG};
use crate::{Session, Tool, ToolError, flags};

/// The tool.
pub static TOOL: Tool = Tool {
    name: "ip",
    aliases: &[],
    about: "devices, addresses, routes, rules, neighbours, nexthops, namespaces",
    run,
};

/// Objects in the order in which shortened words are found.
const OBJECTS: &[&str] = &[
    "address",
    "addrlabel",
    "maddress",
    "route",
    "rule",
    "neighbor",
    "neighbour",
    "ntable",
    "ntbl",
    "link",
    "l2tp",
    "fou",
    "ila",
    "macsec",
    "tunnel",
    "tunl",
    "tuntap",
    "tap",
    "token",
    "tcpmetrics",
    "tcp_metrics",
    "monitor",
    "xfrm",
    "mroute",
    "mrule",
    "netns",
    "netconf",
    "vrf",
    "sr",
    "nexthop",
    "mptcp",
    "ioam",
    "stats",
    "help",
];

const USAGE: &str = "\
Usage: ip [ OPTIONS ] OBJECT { COMMAND | help }
       ip [ -force ] -batch filename
where  OBJECT := { address | addrlabel | link | maddress | monitor | neighbor | neighbour |
                   netconf | netns | nexthop | ntable | ntbl | route | rule | tap |
                   tcpmetrics | token | tuntap | vrf | xfrm }";

fn run(session: &mut Session<'_>, args: &[String]) -> Result<u8, ToolError> {
    let parsed = flags::parse("ip", IP_FLAGS, STYLE, args)?;
    if parsed.has("Version") {
        writeln!(session.out, "ip utility, netwhy-{}", env!("CARGO_PKG_VERSION"))?;
        return Ok(0);
    }
    if parsed.has("help") {
        writeln!(session.out, "{USAGE}\n\nOPTIONS:\n{}", flags::help(IP_FLAGS, STYLE))?;
        return Ok(0);
    }
    if let Some(name) = parsed.value("netns") {
        session.enter(name);
        session.scope.netns.open().map_err(|error| {
            let reason = error.errno.description();
            ToolError::failed(format!("Cannot open network namespace \"{name}\": {reason}"), WRONG)
        })?;
    }
    let options = Options::read(&parsed, session)?;
    if let Some(file) = parsed.value("batch") {
        return batch(session, &options, file);
    }
    let Some((object, rest)) = parsed.words.split_first() else {
        return Err(ToolError::usage(USAGE, WRONG));
    };
    one(session, options, object, rest)
}

/// One command.
fn one(session: &mut Session<'_>, options: Options, object: &str, rest: &[String]) -> Result<u8, ToolError> {
    let Some(object) = pick(object, OBJECTS) else {
        return Err(ToolError::usage(format!("Object \"{object}\" is unknown, try \"ip help\"."), 1));
    };
    if object == "netns" {
        return netns::run(session, options, rest);
    }
    let mut ctx = Ctx::new(session, options)?;
    let words = Words::new(rest);
    let result = match object {
        "address" => read::address(&mut ctx, words),
        "link" => read::link(&mut ctx, words),
        "route" => read::route(&mut ctx, words),
        "rule" => read::rule(&mut ctx, words),
        "neighbor" | "neighbour" => read::neigh(&mut ctx, words),
        "nexthop" => read::nexthop(&mut ctx, words),
        "maddress" => misc::maddress(&mut ctx, words),
        "netconf" => misc::netconf(&mut ctx, words),
        "ntable" | "ntbl" => misc::ntable(&mut ctx, words),
        "addrlabel" => misc::addrlabel(&mut ctx, words),
        "token" => misc::token(&mut ctx, words),
        "tuntap" | "tap" => misc::tuntap(&mut ctx, words),
        "vrf" => misc::vrf(&mut ctx, words),
        "monitor" => monitor::run(&mut ctx, words),
        "help" => Err(ToolError::usage(USAGE, WRONG)),
        other => Err(ToolError::Refused {
            what: format!("ip {other}"),
            why: "netwhy does not read these objects".to_owned(),
            code: WRONG,
        }),
    };
    // What was found before an error belongs before its message.
    ctx.page.flush()?;
    result.map(|()| 0)
}

/// Commands of a file, one a line; the first error ends it unless forced.
fn batch(session: &mut Session<'_>, options: &Options, file: &str) -> Result<u8, ToolError> {
    let text = match file {
        "-" => std::io::read_to_string(std::io::stdin())?,
        file => std::fs::read_to_string(file).map_err(|error| {
            ToolError::failed(format!("Cannot open file \"{file}\" for reading: {error}"), 1)
        })?,
    };
    let mut code = 0;
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let Some((object, rest)) = words.split_first() else { continue };
        match one(session, options.clone(), object, rest) {
            Ok(0) => {}
            Ok(other) => code = other,
            Err(error) => {
                writeln!(session.err, "{error}\nCommand failed {file}:{}", number + 1)?;
                code = error.code();
                if !options.force {
                    return Ok(1);
                }
            }
        }
    }
    Ok(code)
}
