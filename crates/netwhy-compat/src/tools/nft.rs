//! `nft`: lists and changes the nftables ruleset, and follows what happens to it.

mod json;
mod list;
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
    let later = [
        (options.echo, "-e"),
        (options.check, "-c"),
        (options.file.is_some(), "-f"),
        (!options.defines.is_empty(), "-D"),
    ];
    if let Some((_, flag)) = later.iter().find(|(given, _)| *given) {
        return Err(ToolError::Refused {
            what: format!("nft {flag}"),
            why: "only text is listed".into(),
            code: 1,
        });
    }
    let text = options.command.clone();
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.split_first() {
        Some((&"list", rest)) => list::run(session, &options, rest),
        Some((other, _)) => Err(options::syntax(&text, other, "list")),
        None => Err(ToolError::usage("nft: no command given", 1)),
    }
}
