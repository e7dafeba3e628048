//! `tc`: queueing disciplines, their classes and filters.

mod action;
mod change;
mod filter;
mod options;
mod qdisc;
mod units;

use std::ops::ControlFlow;

use netwhy_sys::netlink::Protocol;

use crate::flags::{Flag, Style};
use crate::iproute::words::{Words, pick};
use crate::iproute::{Ctx, Options, WRONG};
use crate::{Session, Tool, ToolError, flags};

/// The tool.
pub static TOOL: Tool = Tool {
    name: "tc",
    aliases: &[],
    about: "queueing disciplines, classes and filters with their counters",
    run,
};

const STYLE: Style = Style { single_dash: true, anywhere: false, code: WRONG };

const FLAGS: &[Flag] = &[
    Flag::switch('s', "statistics", "counters"),
    Flag::switch('\0', "stats", "counters"),
    Flag::switch('d', "details", "all attributes"),
    Flag::switch('r', "raw", "raw handles").refused("handles are shown as they are written"),
    Flag::switch('g', "graph", "classes as a tree").refused("netwhy shows classes as a list"),
    Flag::switch('p', "pretty", "JSON on many lines; filters in words"),
    Flag::switch('V', "Version", "the version"),
    Flag::switch('i', "iec", "powers of 1024 for rates"),
    Flag::switch('\0', "force", "go on after an error in a batch"),
    Flag::value('b', "batch", "FILE", "commands from a file")
        .refused("one command at a time, so that each has an undo"),
    Flag::switch('j', "json", "JSON"),
    Flag::switch('o', "oneline", "one line for each object"),
    Flag::value('c', "color", "WHEN", "colours").maybe(),
    Flag::switch('t', "timestamp", "the time of each event"),
    Flag::switch('\0', "tshort", "the time of each event in short"),
    Flag::value('n', "netns", "NAME", "in another namespace"),
    Flag::switch('N', "Numeric", "numbers instead of names"),
    Flag::switch('\0', "nm", "names of classes").ignored("no file with names is given, so there are none"),
    Flag::switch('\0', "names", "names of classes").ignored("no file with names is given, so there are none"),
    Flag::value('\0', "conf", "FILE", "names of classes").refused("names of classes are not read"),
    Flag::switch('\0', "help", "the usage"),
];

const USAGE: &str =
    "Usage: tc [ OPTIONS ] OBJECT { COMMAND | help }\nwhere  OBJECT := { qdisc | class | filter | monitor }";

fn run(session: &mut Session<'_>, args: &[String]) -> Result<u8, ToolError> {
    let parsed = flags::parse("tc", FLAGS, STYLE, args)?;
    if parsed.has("Version") {
        writeln!(session.out, "tc utility, netwhy-{}", env!("CARGO_PKG_VERSION"))?;
        return Ok(0);
    }
    if parsed.has("help") {
        writeln!(session.out, "{USAGE}\n\nOPTIONS:\n{}", flags::help(FLAGS, STYLE))?;
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
    let Some((object, rest)) = parsed.words.split_first() else {
        writeln!(session.err, "{USAGE}")?;
        return Ok(0);
    };
    let objects = ["qdisc", "class", "filter", "chain", "actions", "monitor", "exec", "help"];
    let Some(object) = pick(object, &objects) else {
        return Err(ToolError::usage(format!("Object \"{object}\" is unknown, try \"tc help\"."), WRONG));
    };
    let mut ctx = Ctx::new(session, options)?;
    let mut words = Words::new(rest);
    let result = match object {
        "qdisc" | "class" | "filter" => {
            let verbs = ["add", "change", "replace", "link", "delete", "get", "show", "list", "lst", "help"];
            let verb = match words.next() {
                None => Some("show"),
                Some(word) => pick(word, &verbs),
            };
            match (object, verb) {
                (_, None) => Err(ToolError::usage(
                    format!(
                        "Command \"{}\" is unknown, try \"tc {object} help\".",
                        rest.first().map_or("", String::as_str)
                    ),
                    WRONG,
                )),
                ("qdisc", Some("show" | "list" | "lst")) => qdisc::show(&mut ctx, words),
                ("class", Some("show" | "list" | "lst")) => qdisc::classes(&mut ctx, words),
                ("filter", Some("show" | "list" | "lst")) => filter::show(&mut ctx, words),
                ("qdisc", Some(verb @ ("add" | "change" | "replace" | "delete"))) => {
                    change::qdisc(&mut ctx, verb, words)
                }
                ("class", Some(verb @ ("add" | "change" | "replace" | "delete"))) => {
                    change::class(&mut ctx, verb, words)
                }
                ("filter", Some(verb @ ("add" | "change" | "replace" | "delete"))) => {
                    change::filter(&mut ctx, verb, words)
                }
                (_, Some(verb)) => Err(refused(object, verb)),
            }
        }
        "monitor" => monitor(&mut ctx),
        other => Err(refused(other, rest.first().map_or("", String::as_str))),
    };
    ctx.page.flush()?;
    result.map(|()| 0)
}

fn refused(object: &str, verb: &str) -> ToolError {
    ToolError::Refused {
        what: format!("tc {object} {verb}"),
        why: "netwhy does not do this".to_owned(),
        code: WRONG,
    }
}

/// `tc monitor`.
fn monitor(ctx: &mut Ctx<'_>) -> Result<(), ToolError> {
    const RTNLGRP_TC: u32 = 4;
    ctx.load_devices()?;
    let collector = netwhy_collect::Collector::open(ctx.scope.clone())?;
    collector.follow(Protocol::Route, &[RTNLGRP_TC], |heard| {
        let Some(event) = heard else {
            writeln!(ctx.err, "events were lost: the kernel told more than could be read")?;
            return Ok(ControlFlow::Continue(()));
        };
        let (page, look) = (&mut ctx.page, &ctx.look);
        match event.kind {
            36 | 37 => qdisc::print(page, look, event.payload, event.kind, &qdisc::Filter::default())?,
            40 | 41 => qdisc::print_class(page, look, event.payload, event.kind, &qdisc::Filter::default())?,
            44 | 45 => filter::print(page, look, event.payload, event.kind, &filter::Asked::default(), true)?,
            _ => {}
        }
        page.end();
        page.flush()?;
        Ok::<_, ToolError>(ControlFlow::Continue(()))
    })
}
