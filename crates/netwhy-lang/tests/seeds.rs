//! Scripts people run: all compile; mutated they never make the compiler panic; all of it is fast.

mod common;

use common::{Rng, build, build_for, seed};
use netwhy_lang::features::Features;

fn seeds() -> Vec<&'static str> {
    include_str!("cases/seeds.txt").split("\n---\n").collect()
}

#[test]
fn seed_scripts_compile_for_every_kernel() {
    for script in seeds() {
        for features in [Features::modern(), Features::floor()] {
            let made =
                build_for(script, &features).unwrap_or_else(|e| panic!("{}", e.render("seed", script)));
            for program in &made.spec.programs {
                assert!(program.insns.len() > 2, "{script}");
                assert!(program.attach.iter().all(|a| !format!("{a:?}").contains('*')));
                // Each program ends, and every mark points into it.
                assert_eq!(program.insns.last().map(|i| i.code), Some(0x95));
                assert!(program.lines.iter().all(|l| (l.insn as usize) <= program.insns.len()));
            }
        }
    }
}

#[test]
fn a_wildcard_whose_body_ignores_the_place_is_one_program() {
    let spec = build("tracepoint:syscalls:sys_enter_* { @[comm] = count(); }").unwrap().spec;
    assert_eq!(spec.programs.len(), 1);
    assert_eq!(spec.programs[0].attach.len(), 3);
    assert!(!spec.programs[0].reads_context);
    let spec = build("tracepoint:syscalls:sys_enter_* { @[probe] = count(); }").unwrap().spec;
    assert_eq!(spec.programs.len(), 3);
}

#[test]
fn mutated_scripts_never_panic() {
    let mut rng = Rng(seed());
    let cases = include_str!("cases/constructs.txt");
    let mut pool: Vec<&str> = seeds();
    pool.extend(cases.lines().filter_map(|l| l.strip_prefix("PROG ")));
    let bits: Vec<&str> =
        "{ } ( ) [ ] , ; / $x @m 0 -1 99999999999 \" . -> == ++ if for while unroll(3) args str( \
                           (struct sock *) count() hist( printf( .. : ? * & ! @m[1] $x= /* // é \\"
            .split(' ')
            .collect();
    let mut good = 0;
    for _ in 0..6_000 {
        let mut text: Vec<char> = pool[rng.below(pool.len() as u64) as usize].chars().collect();
        for _ in 0..=rng.below(4) {
            let at = rng.below(text.len() as u64 + 1) as usize;
            match rng.below(4) {
                0 if at < text.len() => {
                    text.remove(at);
                }
                1 => {
                    let word = bits[rng.below(bits.len() as u64) as usize];
                    text.splice(at..at, word.chars());
                }
                2 => {
                    let end = (at + rng.below(12) as usize).min(text.len());
                    text.drain(at..end);
                }
                _ => {
                    let end = (at + rng.below(20) as usize).min(text.len());
                    let copy: Vec<char> = text[at..end].to_vec();
                    let to = rng.below(text.len() as u64 + 1) as usize;
                    text.splice(to..to, copy);
                }
            }
        }
        let script: String = text.into_iter().collect();
        match build(&script) {
            Ok(_) => good += 1,
            Err(e) => assert!(e.render("x", &script).contains("ERROR"), "{script}"),
        }
    }
    // Were all refused, nothing behind the parser would have been tried.
    assert!(good > 100, "only {good} mutants compiled");
}

#[test]
fn deep_nesting_is_refused_and_not_a_crash() {
    for (open, close) in [("(", ")"), ("-", ""), ("!", ""), ("{", "}"), ("@a[", "]"), ("1+(", ")")] {
        let script = format!("BEGIN {{ $x = {}1{}; }}", open.repeat(5_000), close.repeat(5_000));
        assert!(build(&script).is_err(), "{open}");
    }
    assert!(build(&format!("BEGIN {{ $x = 1{}; }}", "+1".repeat(5_000))).is_err());
    assert!(build(&format!("BEGIN {{ {} }}", "if (1) { ".repeat(5_000))).is_err());
    assert!(build("macro a() { a() } BEGIN { a(); }").is_err());
    assert!(
        build("macro a(x) { b(b(x)) } macro b(x) { c(c(x)) } macro c(x) { x + x } BEGIN { @ = a(a(1)); }")
            .is_ok()
    );
}

#[test]
fn diagnostics_show_line_place_and_hint() {
    let script = "BEGIN {\n  $abc = 1;\n  print($abd);\n}";
    let text = build(script).unwrap_err().render("t.bt", script);
    assert_eq!(
        text,
        "t.bt:3:9-13: ERROR: Undefined or undeclared variable: $abd\n  print($abd);\n        ~~~~\nHINT: did you mean `abc`?\n"
    );
}

#[test]
fn ordinary_scripts_compile_in_two_milliseconds() {
    // An unoptimised build is some ten times slower; the limit is checked where it means something.
    let limit = if cfg!(debug_assertions) { 40 } else { 2 };
    for script in seeds() {
        let best = (0..5)
            .map(|_| {
                #[allow(clippy::disallowed_methods)]
                let start = std::time::Instant::now();
                build(script).unwrap();
                start.elapsed()
            })
            .min()
            .unwrap();
        assert!(best.as_millis() < limit, "{best:?}: {script}");
    }
}

#[test]
fn raw_tracepoints_do_without_btf_when_they_can_or_must() {
    use netwhy_lang::program::Kind;
    let kind = |script: &str, features: &Features| build_for(script, features).unwrap().spec.programs[0].kind;
    let reads = "rawtracepoint:kfree_skb { @[args.skb->len] = count(); }";
    let without = Features { tp_btf: false, ..Features::modern() };
    assert_eq!(kind(reads, &Features::modern()), Kind::BtfTracepoint);
    assert_eq!(kind(reads, &without), Kind::RawTracepoint);
    assert_eq!(kind("rawtracepoint:kfree_skb { @ = count(); }", &Features::modern()), Kind::RawTracepoint);
    // Typed loads only where the verifier knows the type: elsewhere a helper reads.
    let calls = |features: &Features| {
        let spec = build_for(reads, features).unwrap().spec;
        spec.programs[0].insns.iter().filter(|i| i.code == 0x85 && i.imm == 113).count()
    };
    assert_eq!((calls(&Features::modern()), calls(&without)), (0, 1));
}
