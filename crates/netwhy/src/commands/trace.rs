//! `netwhy trace`: the shipped tools by name. A tool's own name works as a verb and as a program's name, too.

use netwhy_trace::{manual, run, tools};

use crate::cli::{Global, TraceArgs};

fn list() -> String {
    let mut all = tools::all();
    all.push(netwhy_trace::pwru::tool());
    manual::list(&all)
}

/// Runs the verb.
pub(crate) fn run(args: &TraceArgs, global: &Global) -> anyhow::Result<u8> {
    match args.args.split_first() {
        None => {
            super::print("usage: netwhy trace TOOL [options], or netwhy TOOL; the tools are\n\n")?;
            super::print(&list())?;
            Ok(2)
        }
        Some((first, [])) if first == "--list" || first == "-l" => {
            super::print(&list())?;
            Ok(0)
        }
        Some((name, rest)) => {
            let mut rest = rest.to_vec();
            if global.json || global.jsonl {
                rest.push("--json".to_owned());
            }
            Ok(run::main(name, &rest))
        }
    }
}
