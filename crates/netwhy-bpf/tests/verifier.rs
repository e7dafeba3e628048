//! What the compiler takes, the kernel takes: random scripts whose types are right are loaded, never refused.

mod common;

use netwhy_bpf::load::Objects;

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let mixed = (self.0 ^ (self.0 >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed >> 33) % n as u64) as usize
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

/// A number.
fn number(r: &mut Random, depth: u32) -> String {
    if depth == 0 {
        return match r.below(8) {
            0 => "$a".into(),
            1 => "$b".into(),
            2 => "@n".into(),
            3 => format!("@m[{}]", r.below(4)),
            4 => r.of(&["pid", "tid", "nsecs", "cpu", "rand", "elapsed", "uid", "curtask->pid"]).into(),
            5 => "@c".into(),
            6 => "$t.1".into(),
            _ => format!("{}", r.below(1 << 20)),
        };
    }
    let d = depth - 1;
    match r.below(10) {
        0..=3 => {
            let op = r.of(&["+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>", "<", "==", "&&"]);
            format!("({} {op} {})", number(r, d), number(r, d))
        }
        4 => format!("({} ? {} : {})", number(r, d), number(r, d), number(r, d)),
        5 => format!("(({}){})", r.of(&["uint8", "int16", "uint32", "int64"]), number(r, d)),
        6 => format!("strlen({})", text(r, d)),
        7 => format!("strcontains({}, \"e\")", text(r, d)),
        8 => format!("({} == {})", text(r, d), text(r, d)),
        _ => format!("(-{})", number(r, d)),
    }
}

/// A string.
fn text(r: &mut Random, depth: u32) -> String {
    match r.below(if depth == 0 { 5 } else { 7 }) {
        0 => "comm".into(),
        1 => "$s".into(),
        2 => r.of(&["\"\"", "\"e\"", "\"somewhat longer than a word\""]).into(),
        3 => "$t.0".into(),
        4 => "@s".into(),
        5 => format!("({} ? {} : {})", number(r, depth - 1), text(r, depth - 1), text(r, depth - 1)),
        _ => format!("str((int8 *){}, {})", number(r, depth - 1), r.of(&[4, 16, 64])),
    }
}

fn statement(r: &mut Random, depth: u32, loops: bool) -> String {
    // Loops hold plain statements: how many paths there are is the verifier's limit, and not what this is about.
    let body = |r: &mut Random, loops: bool| {
        let d = if loops { 0 } else { depth.saturating_sub(1) };
        (0..1 + r.below(3)).map(|_| statement(r, d, loops)).collect::<Vec<_>>().join(" ")
    };
    match r.below(if depth == 0 { 11 } else { 16 }) {
        0 => format!("$a = {};", number(r, 2)),
        1 => format!("$b {} {};", r.of(&["+=", "-=", "^=", "<<="]), number(r, 2)),
        2 => format!("$s = {};", text(r, 2)),
        3 => format!("$t = ({}, {});", text(r, 1), number(r, 1)),
        4 => format!("@m[{}] = {};", number(r, 1), number(r, 2)),
        5 => format!("@k[{}, {}] = count();", text(r, 1), number(r, 1)),
        6 => format!("@h = hist({}); @c = sum({});", number(r, 1), number(r, 1)),
        7 => format!("printf(\"%d %s\\n\", {}, {});", number(r, 2), text(r, 1)),
        8 => format!("print(({}, {}, $t));", number(r, 1), text(r, 1)),
        9 => format!("@n{}; @s = {};", r.of(&["++", "--"]), text(r, 1)),
        10 if loops => r.of(&["if ($a > 5) { break; }", "if ($b == 2) { continue; }"]).into(),
        10 => "delete(@m, 3);".into(),
        11 => format!("if ({}) {{ {} }} else {{ {} }}", number(r, 2), body(r, loops), body(r, loops)),
        12 => format!("for ($i : 0..{}) {{ $a += $i; {} }}", 1 + r.below(40), body(r, true)),
        13 => format!("while ($a < {}) {{ $a++; {} }}", r.below(20), body(r, true)),
        14 => format!("for ($e : @m) {{ $b += $e.1; {} }}", body(r, true)),
        _ => format!("unroll ({}) {{ {} }}", 1 + r.below(3), body(r, true)),
    }
}

#[test]
fn what_compiles_loads() {
    let Some(kernel) = common::kernel() else { return };
    let features = kernel.features(false);
    if !features.bpf_loop || !features.percpu_lookup {
        println!("skipped: this kernel has no bpf_loop or no map_lookup_percpu_elem");
        return;
    }
    let mut random = Random(23);
    let (mut loaded, mut large) = (0, 0);
    for round in 0..200 {
        let place = random.of(&[
            "BEGIN",
            "interval:s:1",
            "rawtracepoint:sched_switch",
            "rawtracepoint:net_dev_queue",
        ]);
        let body: Vec<String> = (0..2 + random.below(4)).map(|_| statement(&mut random, 2, false)).collect();
        let script = format!(
            "config = {{ max_strlen = 64 }} BEGIN {{ @n = 0; @m[0] = 0; @s = \"\"; @c = sum(0); @k[\"\", 0] = count(); @h = hist(0); }} \
             {place} {{ $a = (int64)1; $b = (int64)2; $s = \"start\"; $t = (\"t\", (int64)3); {} }}",
            body.join(" ")
        );
        let compiled = match netwhy_lang::compile(&script, &Default::default(), &kernel, &kernel, &features) {
            Ok(compiled) => compiled,
            // The one limit a script of right types can run into.
            Err(error) if error.message.contains("512 bytes of stack") => {
                large += 1;
                continue;
            }
            Err(error) => panic!("round {round}: {}", error.render("script", &script)),
        };
        match Objects::load(&compiled.spec, &kernel) {
            Ok(_) => loaded += 1,
            // More paths than the verifier walks: another limit, and it says so.
            Err(error) if error.to_string().contains("too large") => large += 1,
            Err(error) => panic!("round {round}: {error}\n{script}"),
        }
    }
    println!("{loaded} loaded, {large} beyond a limit");
    assert!(loaded > 180, "{loaded} loaded, {large} beyond a limit");
}
