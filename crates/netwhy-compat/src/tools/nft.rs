//! `nft`: lists and changes the nftables ruleset, and follows what happens to it.

mod change;
mod json;
mod list;
mod lower;
mod options;
mod style;
mod syntax;
mod token;

use crate::{Session, Tool, ToolError};

/// `nft`.
pub static TOOL: Tool =
    Tool { name: "nft", aliases: &[], about: "the nftables ruleset: listed, changed, traced", run };

fn run(session: &mut Session<'_>, args: &[String]) -> Result<u8, ToolError> {
    let Some(options) = options::parse(session, args)? else { return Ok(0) };
    for (given, flag, why) in [
        (options.echo, "-e", "what was added is said on standard error, with how to undo it"),
        (options.check, "-c", "the kernel is only told what is meant; nft -c checks without carrying out"),
    ] {
        if given {
            return Err(ToolError::Refused { what: format!("nft {flag}"), why: why.into(), code: 1 });
        }
    }
    if let Some(file) = &options.file {
        let text = match file.as_str() {
            "-" | "/dev/stdin" => std::io::read_to_string(std::io::stdin()),
            path => std::fs::read_to_string(path),
        };
        let text =
            text.map_err(|error| ToolError::failed(format!("internal:0:0-0: Error: {file}: {error}"), 1))?;
        return change::run(session, &options, &text);
    }
    let text = options.command.clone();
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.split_first() {
        Some((&"list", rest)) => list::run(session, &options, rest),
        Some(_) => change::run(session, &options, &text),
        None => Err(ToolError::usage("nft: no command given", 1)),
    }
}
