//! Random expressions: compiled code against a plain evaluator of the language's rules.

mod common;

use common::vm::Vm;
use common::{Rng, build, seed};

/// A value, whether it is signed, and whether it is a literal.
type Val = (u64, bool, bool);

struct Maker {
    rng: Rng,
    vars: Vec<i64>,
}

impl Maker {
    fn expr(&mut self, depth: u32) -> (String, Val) {
        if depth == 0 || self.rng.below(6) == 0 {
            return self.leaf();
        }
        match self.rng.below(10) {
            0 => {
                let (t, (v, ..)) = self.expr(depth - 1);
                (format!("(-({t}))"), (v.wrapping_neg(), true, false))
            }
            1 => {
                let (t, (v, s, _)) = self.expr(depth - 1);
                (format!("(~({t}))"), (!v, s, false))
            }
            2 => {
                let (name, bits, signed) = [
                    ("uint8", 8, false),
                    ("int8", 8, true),
                    ("uint16", 16, false),
                    ("int16", 16, true),
                    ("uint32", 32, false),
                    ("int32", 32, true),
                    ("uint64", 64, false),
                    ("int64", 64, true),
                ][self.rng.below(8) as usize];
                let (t, (v, ..)) = self.expr(depth - 1);
                let shift = 64 - bits;
                let v = if signed { ((v << shift) as i64 >> shift) as u64 } else { v << shift >> shift };
                (format!("(({name})({t}))"), (v, signed, false))
            }
            3 => {
                let (c, (cv, ..)) = self.expr(depth - 1);
                let (a, (av, asig, _)) = self.expr(depth - 1);
                let (b, (bv, bsig, _)) = self.expr(depth - 1);
                // A branch is taken as a number of 64 bits, its sign is not asked for.
                let v = if cv != 0 { av } else { bv };
                let _ = (asig, bsig);
                (format!("((int64)(({c}) ? (int64)({a}) : (int64)({b})))"), (v, true, false))
            }
            _ => self.binary(depth),
        }
    }

    fn leaf(&mut self) -> (String, Val) {
        if self.rng.below(2) == 0 {
            let i = self.rng.below(self.vars.len() as u64) as usize;
            return (format!("$v{i}"), (self.vars[i] as u64, true, false));
        }
        let n = match self.rng.below(4) {
            0 => self.rng.below(8),
            1 => self.rng.below(256),
            2 => self.rng.below(1 << 33),
            _ => self.rng.next() >> 1,
        };
        (format!("{n}"), (n, true, true))
    }

    fn binary(&mut self, depth: u32) -> (String, Val) {
        let op = [
            "+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>", "<", "<=", ">", ">=", "==", "!=", "&&", "||",
        ][self.rng.below(18) as usize];
        let (at, (a, asig, alit)) = self.expr(depth - 1);
        let (bt, (b, bsig, blit)) = self.expr(depth - 1);
        let signed = match (alit, blit) {
            (true, false) => bsig,
            (false, true) => asig,
            _ => asig && bsig,
        };
        let (sa, sb) = (a as i64, b as i64);
        let less = if signed { sa < sb } else { a < b };
        let truth = |t: bool| (u64::from(t), false, false);
        let val = match op {
            "+" => (a.wrapping_add(b), signed, false),
            "-" => (a.wrapping_sub(b), signed, false),
            "*" => (a.wrapping_mul(b), signed, false),
            "/" if b == 0 => (0, signed, false),
            "/" if signed => (sa.wrapping_div(sb) as u64, signed, false),
            "/" => (a / b, signed, false),
            "%" if b == 0 => (a, signed, false),
            "%" if signed => (sa.wrapping_rem(sb) as u64, signed, false),
            "%" => (a % b, signed, false),
            "&" => (a & b, signed, false),
            "|" => (a | b, signed, false),
            "^" => (a ^ b, signed, false),
            "<<" => (a << (b & 63), asig, false),
            ">>" if asig => ((sa >> (b & 63)) as u64, asig, false),
            ">>" => (a >> (b & 63), asig, false),
            "<" => truth(less),
            "<=" => truth(less || a == b),
            ">" => truth(!less && a != b),
            ">=" => truth(!less),
            "==" => truth(a == b),
            "!=" => truth(a != b),
            "&&" => truth(a != 0 && b != 0),
            _ => truth(a != 0 || b != 0),
        };
        (format!("(({at}) {op} ({bt}))"), val)
    }
}

#[test]
fn compiled_expressions_give_what_the_language_says() {
    let mut maker = Maker { rng: Rng(seed()), vars: Vec::new() };
    for round in 0..10_000 {
        maker.vars = (0..3)
            .map(|_| match maker.rng.below(3) {
                0 => maker.rng.below(20) as i64 - 10,
                1 => maker.rng.next() as i64,
                _ => (maker.rng.next() as i32).into(),
            })
            .collect();
        let depth = 1 + maker.rng.below(5) as u32;
        let (text, (wanted, ..)) = maker.expr(depth);
        let mut script = "BEGIN { ".to_string();
        for (i, v) in maker.vars.iter().enumerate() {
            // i64::MIN has no literal.
            let v = (*v).max(-i64::MAX);
            script += &format!("$v{i} = {v}; ");
        }
        if maker.vars.contains(&i64::MIN) {
            continue;
        }
        script += &format!("@r = (int64)({text}); }}");
        let spec = build(&script).unwrap_or_else(|e| panic!("{}", e.render("script", &script))).spec;
        let map = spec.maps.iter().position(|m| m.name == "@r").unwrap();
        let mut vm = Vm::new(&spec);
        let ctx = vm.alloc(64);
        vm.run(&spec, 0, ctx).unwrap_or_else(|e| panic!("{e}\n{script}\n{spec}"));
        let got = u64::from_le_bytes(vm.value(map, &[0; 4], 8).unwrap().try_into().unwrap());
        assert_eq!(got, wanted, "round {round}: {script}\n{spec}");
    }
}
