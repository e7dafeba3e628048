//! `netwhy connect TARGET`: why can it not be reached?

use anyhow::Context;
use netwhy_causes::target;
use netwhy_facts::Family;
use netwhy_facts::question::{Question, Role, Scenario};

use crate::cli::{ConnectArgs, Global, Usage};
use crate::place::Place;
use crate::session::{Options, Session};

/// Frames the question, answers it, prints the answer.
pub(crate) fn run(args: &ConnectArgs, global: &Global) -> anyhow::Result<u8> {
    let question = frame(args)?;
    let place = Place::of(global)?;
    let options = Options {
        place: place.clone(),
        mark: args.mark,
        dev: args.dev.clone(),
        source: args.source,
        passive: args.passive,
    };
    let answer = place.inside(|| Session::open(question, options)?.answer())??;
    if let Some(file) = &args.record {
        let recording = serde_json::json!({
            "question": answer.question,
            "facts": answer.facts.to_json(),
            "expect": answer.report.causes.iter().map(|c| c.id.as_str()).collect::<Vec<_>>(),
        });
        let text = serde_json::to_string(&recording)?;
        std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    super::print_report(&answer.report, global)?;
    Ok(answer.report.exit_code())
}

/// The options that belong to the question itself, as they are typed.
fn asked_with(args: &ConnectArgs) -> Vec<String> {
    let mut out = Vec::new();
    let mut option = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            out.extend([name.to_string(), value]);
        }
    };
    option("--mark", (args.mark != 0).then(|| args.mark.to_string()));
    option("--dev", args.dev.clone());
    option("--source", args.source.map(|source| source.to_string()));
    out.extend(args.ipv4.then(|| "-4".to_string()));
    out.extend(args.ipv6.then(|| "-6".to_string()));
    out
}

fn frame(args: &ConnectArgs) -> anyhow::Result<Question> {
    let role = match (args.inbound, args.transit) {
        (true, _) => Role::Inbound,
        (_, true) => Role::Transit,
        _ => Role::Client,
    };
    if role == Role::Client && args.from.is_some() {
        return Err(Usage("--from belongs to --inbound or --transit".into()).into());
    }
    if role != Role::Client && args.source.is_some() {
        return Err(
            Usage("--source is of the client; for --inbound and --transit it is --from".into()).into()
        );
    }
    let target = target::parse(&args.target, role).map_err(|e| Usage(e.to_string()))?;
    if let (Some(from), Some(literal)) = (args.from, target.literal)
        && from.is_ipv4() != literal.is_ipv4()
    {
        return Err(Usage(format!("--from {from} and target {literal} are of different families")).into());
    }
    let family = match (args.ipv4, args.ipv6) {
        (true, _) => Some(Family::Inet),
        (_, true) => Some(Family::Inet6),
        _ => args.from.as_ref().map(Family::of),
    };
    if let (Some(source), Some(literal)) = (args.source, target.literal)
        && source.is_ipv4() != literal.is_ipv4()
    {
        return Err(Usage(format!("--source {source} and target {literal} are of different families")).into());
    }
    let family = family.or_else(|| args.source.as_ref().map(Family::of));
    if let (Some(family), Some(literal)) = (family, target.literal)
        && Family::of(&literal) != family
    {
        return Err(Usage(format!("target {literal} is not an IPv{} address", family.digit())).into());
    }
    Ok(Question {
        scenario: Scenario::Connect,
        target_text: args.target.clone(),
        target,
        role,
        from: args.from,
        family,
        flows: Vec::new(),
        budget_ms: (args.timeout * 1000.0) as u64,
        asked_with: asked_with(args),
    })
}
