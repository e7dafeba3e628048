//! `netwhy explain WORD`: what a cause, counter, drop reason, errno or field means. Asks nobody.

use netwhy_render::explain::{Found, explanation_text, lookup};

use crate::cli::{ExplainArgs, Global};

/// Prints the entry; an unknown word names what looks alike on standard error and is a mistake of usage.
pub(crate) fn run(args: &ExplainArgs, global: &Global) -> anyhow::Result<u8> {
    let found = lookup(&args.word);
    let known = !matches!(found, Found::Unknown(_));
    if global.json || global.jsonl {
        super::print_json(&found, global)?;
    } else if known {
        super::print(&explanation_text(&args.word, &found, &super::text_options(global)))?;
    } else {
        eprint!("{}", explanation_text(&args.word, &found, &super::text_options(global)));
    }
    Ok(if known { 0 } else { 2 })
}
