//! `netwhy lab`: faults on purpose, in private network namespaces.

use std::io::{stderr, stdout};

use netwhy_lab::{LabError, run};

use crate::cli::{Global, LabArgs, LabVerb, Usage};

/// Lists, tries, opens or scores cases.
pub(crate) fn run(args: &LabArgs, global: &Global) -> anyhow::Result<u8> {
    let json = global.json || global.jsonl;
    let mut out = stdout();
    let done = match &args.verb {
        LabVerb::List => run::list(&mut out),
        LabVerb::Try { case } => {
            let options = super::text_options(global);
            run::attempt(case, &mut out, &|report| netwhy_render::text::report_text(report, &options))
        }
        LabVerb::Shell { case } => run::shell(case, &mut out),
        LabVerb::Record { dir, only } => netwhy_lab::record::record(dir, only.as_deref(), &mut stderr()),
        LabVerb::Score { only } => run::score(only.as_deref(), json, &mut out, &mut stderr()),
    };
    match done {
        Ok(code) => Ok(u8::try_from(code).unwrap_or(5)),
        Err(LabError::Usage(text)) => Err(Usage(text).into()),
        Err(error) => Err(error.into()),
    }
}
