//! Every construct of the language: a script, run on the running kernel, and what it prints (`cases/language.txt`).

mod common;

use netwhy_bpf::session::Format;
use netwhy_lang::features::Features;

/// One block of the file.
#[derive(Default)]
struct Case {
    name: String,
    program: String,
    args: Vec<String>,
    json: bool,
    needs: Vec<String>,
    out: Vec<String>,
    code: u8,
    error: Option<String>,
}

fn cases(text: &str) -> Vec<Case> {
    let mut all = Vec::new();
    for block in text.split("\n\n").filter(|block| block.contains("PROG ")) {
        let mut case = Case::default();
        for line in block.lines().filter(|line| !line.starts_with('#')) {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "NAME" => case.name = rest.to_owned(),
                "PROG" => case.program = rest.replace("\\N", "\n"),
                "ARGS" => case.args = rest.split(' ').map(str::to_owned).collect(),
                "JSON" => case.json = true,
                "NEEDS" => case.needs.push(rest.to_owned()),
                "OUT" => case.out.push(rest.to_owned()),
                "CODE" => case.code = rest.parse().unwrap(),
                "ERROR" => case.error = Some(rest.to_owned()),
                other => panic!("{other} in {block}"),
            }
        }
        all.push(case);
    }
    all
}

fn has(features: &Features, name: &str) -> bool {
    match name {
        "percpu_lookup" => features.percpu_lookup,
        "bpf_loop" => features.bpf_loop,
        other => panic!("no feature {other}"),
    }
}

#[test]
fn constructs_print_what_they_should() {
    let Some(kernel) = common::kernel() else { return };
    let features = kernel.features(false);
    let all = cases(include_str!("cases/language.txt"));
    assert!(all.len() > 70, "{}", all.len());
    let mut wrong = Vec::new();
    for case in &all {
        if let Some(missing) = case.needs.iter().find(|need| !has(&features, need)) {
            println!("skipped: {}: this kernel has no {missing}", case.name);
            continue;
        }
        let (named, params) = case.args.iter().partition::<Vec<_>, _>(|arg| arg.starts_with("--"));
        let named = named.into_iter().map(|arg| {
            let (name, value) = arg.trim_start_matches("--").split_once('=').unwrap_or((&arg[2..], "true"));
            (name.to_owned(), value.to_owned())
        });
        let options = netwhy_lang::Options {
            params: params.into_iter().cloned().collect(),
            named: named.collect(),
            ..Default::default()
        };
        let format = if case.json { Format::Json } else { Format::Text };
        let found = match common::go(&kernel, &case.program, &options, format, || ()) {
            Ok(ran) => {
                let text = ran.text.trim_matches('\n').to_owned();
                (case.error.is_none()
                    && text == case.out.join("\n").trim_matches('\n')
                    && ran.code == case.code)
                    .then_some(())
                    .ok_or(format!("{text}\ncode {}", ran.code))
            }
            Err(error) => match &case.error {
                Some(part) if error.contains(part.as_str()) => Ok(()),
                _ => Err(error),
            },
        };
        if let Err(found) = found {
            wrong.push(format!("{}: {}\n{found}", case.name, case.program));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n\n{}", wrong.len(), all.len(), wrong.join("\n\n"));
}
