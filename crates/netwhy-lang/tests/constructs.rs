//! Every construct: a script, run in the machine, and what maps and records must hold afterwards.
//!
//! `cases/*.txt`: blocks of `NAME`, `PROG` (to the end of the line), `MAP`/`RECORD` lines in order, or `ERROR` with a
//! part of the message. A blank line ends a block. Programs run in order, `BEGIN` as any other.

mod common;

use common::vm::Vm;
use common::{build, build_for};
use netwhy_lang::features::Features;
use netwhy_lang::program::*;

fn word(bytes: &[u8]) -> i64 {
    i64::from_le_bytes(bytes[..8].try_into().unwrap())
}

fn show(shape: &Shape, bytes: &[u8]) -> String {
    match shape {
        Shape::Int { signed: true } | Shape::Timestamp { .. } => word(bytes).to_string(),
        Shape::Int { signed: false } | Shape::Ksym | Shape::CgroupPath => (word(bytes) as u64).to_string(),
        Shape::Bool => (word(bytes) != 0).to_string(),
        Shape::Ptr => format!("{:#x}", word(bytes)),
        Shape::Enum { values } => values
            .iter()
            .find(|(_, v)| *v == word(bytes))
            .map_or_else(|| word(bytes).to_string(), |(n, _)| n.clone()),
        Shape::Str { size } => {
            let text: Vec<u8> = bytes[..*size as usize].iter().copied().take_while(|b| *b != 0).collect();
            assert!(
                bytes[text.len()..*size as usize].iter().all(|b| *b == 0),
                "dirt after the end of a string"
            );
            String::from_utf8_lossy(&text).into_owned()
        }
        Shape::Buf { .. } => {
            let len = u32::from_le_bytes(bytes[..4].try_into().unwrap()) as usize;
            bytes[4..4 + len].iter().map(|b| format!("{b:02x}")).collect()
        }
        Shape::Inet => match bytes[0] {
            2 => std::net::Ipv4Addr::from(<[u8; 4]>::try_from(&bytes[4..8]).unwrap()).to_string(),
            10 => std::net::Ipv6Addr::from(<[u8; 16]>::try_from(&bytes[4..20]).unwrap()).to_string(),
            other => format!("family {other}"),
        },
        Shape::Mac => bytes[..6].iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":"),
        Shape::Kstack { .. } => format!("kstack {}", word(bytes)),
        Shape::Usym | Shape::Ustack { .. } => format!("user {} of {}", word(bytes), word(&bytes[8..])),
        Shape::Tuple { parts, .. } => {
            let parts: Vec<String> = parts.iter().map(|p| part(p, bytes)).collect();
            format!("({})", parts.join(", "))
        }
        Shape::Array { .. } | Shape::Raw { .. } | Shape::Username | Shape::Errno | Shape::Signal => {
            format!("{} bytes", shape.size())
        }
    }
}

fn part(p: &Part, bytes: &[u8]) -> String {
    let text = show(&p.shape, &bytes[p.offset as usize..]);
    if p.name.is_empty() { text } else { format!("{}={text}", p.name) }
}

fn run(script: &str, features: &Features) -> Result<Vec<String>, String> {
    let spec = build_for(script, features).map_err(|e| e.render("case", script))?.spec;
    let mut vm = Vm::new(&spec);
    let ctx = vm.alloc(256);
    for i in 0..spec.programs.len() {
        // Each word of the context holds ten times its index, for args and registers.
        for at in 0..32u64 {
            vm.bytes(ctx + at * 8, 8).unwrap().copy_from_slice(&(at * 10).to_le_bytes());
        }
        vm.run(&spec, i, ctx).map_err(|e| format!("{e}\n{spec}"))?;
    }
    let mut out = Vec::new();
    for record in std::mem::take(&mut vm.records) {
        let action = &spec.actions[u32::from_le_bytes(record[..4].try_into().unwrap()) as usize];
        let data = &record[RECORD_HEADER as usize..];
        let list = |parts: &[Part]| parts.iter().map(|p| part(p, data)).collect::<Vec<_>>().join(" | ");
        out.push(match action {
            Action::Printf { format, args, .. } => format!("RECORD printf {format:?} {}", list(args)),
            Action::Emit { name, fields } => format!("RECORD emit {name} {}", list(fields)),
            Action::PrintValue { key, value, .. } => {
                let all: Vec<Part> = key.iter().chain(value).cloned().collect();
                format!("RECORD print {}", list(&all))
            }
            Action::PrintMap { map } => {
                format!("RECORD print {} {} {}", spec.maps[*map as usize].name, word(data), word(&data[8..]))
            }
            Action::Exit => format!("RECORD exit {}", word(data)),
            Action::Clear { map } => format!("RECORD clear {}", spec.maps[*map as usize].name),
            Action::Zero { map } => format!("RECORD zero {}", spec.maps[*map as usize].name),
            Action::DeleteHist { map, key } => {
                format!("RECORD delete {} {}", spec.maps[*map as usize].name, part(key, data))
            }
            Action::Time { format } => format!("RECORD time {format:?}"),
            Action::Cat { format, args } | Action::System { format, args } => {
                format!("RECORD file {format:?} {}", list(args))
            }
            Action::Join { .. } => format!("RECORD join {}", word(data)),
        });
    }
    for (i, map) in spec.maps.iter().enumerate().filter(|(_, m)| m.role == Role::Script) {
        for (key, value) in vm.dump(&spec, i) {
            let buckets = matches!(map.value, Some(Value::Hist { .. } | Value::Lhist { .. }));
            let mut name = match &map.key {
                Some(shape) => format!("{}[{}]", map.name, show(shape, &key)),
                None => map.name.clone(),
            };
            if buckets {
                let at = map.key.as_ref().map_or(0, |s| s.size() as usize);
                let bucket = if map.key.is_some() {
                    word(&key[at..])
                } else {
                    i64::from(key[0]) + i64::from(key[1]) * 256
                };
                if word(&value) == 0 {
                    continue;
                }
                name += &format!(" bucket {bucket}");
            }
            let text = match &map.value {
                Some(Value::Plain(shape)) => show(shape, &value),
                Some(Value::Avg { .. } | Value::Stats { .. } | Value::Min { .. } | Value::Max { .. }) => {
                    format!("{} {}", word(&value), word(&value[8..]))
                }
                _ => word(&value).to_string(),
            };
            out.push(format!("MAP {name} = {text}"));
        }
    }
    Ok(out)
}

#[test]
fn constructs_do_what_they_say() {
    let text = include_str!("cases/constructs.txt");
    let mut failures = String::new();
    let mut count = 0;
    for block in text.split("\n\n").filter(|b| b.contains("PROG ")) {
        count += 1;
        let get = |tag: &str| block.lines().find_map(|l| l.strip_prefix(tag)).unwrap_or("");
        let (name, prog) = (get("NAME "), get("PROG "));
        let wanted: Vec<&str> = block
            .lines()
            .filter(|l| l.starts_with("MAP ") || l.starts_with("RECORD "))
            .map(str::trim_end)
            .collect();
        let error = get("ERROR ");
        // Loops come out differently for an old kernel; the result must not.
        for features in [Features::modern(), Features { for_each_map_elem: true, ..Features::floor() }] {
            match run(prog, &features) {
                Ok(got) if error.is_empty() => {
                    let got: Vec<&str> = got.iter().map(|l| l.trim_end()).collect();
                    if got != wanted {
                        failures += &format!("\n{name}: {prog}\n  wanted {wanted:#?}\n  got {got:#?}\n");
                    }
                }
                Err(got) if !error.is_empty() && got.contains(error) => {}
                got => failures += &format!("\n{name}: {prog}\n wanted {error}{wanted:?}\n got {got:?}\n"),
            }
        }
    }
    assert!(count > 30, "only {count} cases were found");
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn the_same_script_gives_the_same_bytes() {
    let script = "tracepoint:skb:kfree_skb { @[args.reason, comm] = count(); @h = hist(args.protocol); }";
    let one = serde_json::to_string(&build(script).unwrap().spec).unwrap();
    let two = serde_json::to_string(&build(script).unwrap().spec).unwrap();
    assert_eq!(one, two);
    let back: ProgramSpec = serde_json::from_str(&one).unwrap();
    assert_eq!(back, build(script).unwrap().spec);
}

#[test]
fn histogram_code_and_renderer_agree_on_buckets() {
    for value in [-5i64, 0, 1, 2, 3, 4, 7, 8, 31, 32, 33, 1023, 1024, 123_456_789, i64::MAX] {
        for bits in 0..=5u8 {
            let bucket = hist_bucket(value, bits);
            assert!(bucket < u64::from(hist_buckets(bits)), "{value} {bits}");
            let (low, high) = hist_range(bucket, bits);
            assert!(
                low.is_none_or(|l| l <= value) && high.is_none_or(|h| value < h),
                "{value} {bits} {low:?} {high:?}"
            );
            let got = run(&format!("BEGIN {{ @ = hist({value}, {bits}); }}"), &Features::modern()).unwrap();
            assert_eq!(got, [format!("MAP @ bucket {bucket} = 1")]);
        }
        let got = run(&format!("BEGIN {{ @ = lhist({value}, 0, 100, 7); }}"), &Features::modern()).unwrap();
        let bucket: u64 = got[0].split_whitespace().nth(3).unwrap().parse().unwrap();
        let (low, high) = lhist_range(bucket, 0, 100, 7);
        assert!(low.is_none_or(|l| l <= value) && high.is_none_or(|h| value < h), "{value} {low:?} {high:?}");
    }
}
