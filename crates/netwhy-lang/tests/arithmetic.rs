//! Random expressions: compiled code against a plain evaluator of the language's rules.

mod common;

use common::vm::Vm;
use common::{Rng, build, seed};

/// A value and its type: bytes, sign, and whether it is a literal.
#[derive(Clone, Copy)]
struct Val {
    v: u64,
    size: u32,
    signed: bool,
    literal: bool,
}

impl Val {
    fn wide(v: u64, signed: bool) -> Self {
        Self { v, size: 8, signed, literal: false }
    }

    fn of(v: u64, size: u32, signed: bool) -> Self {
        Self { v: cut(v, size, signed), size, signed, literal: false }
    }

    /// Whether 64 signed bits hold every value of its type; a literal takes the other side's sign.
    fn fits(self) -> bool {
        self.literal || self.signed || self.size < 8
    }
}

/// A value cut to so many bytes and extended again.
fn cut(v: u64, size: u32, signed: bool) -> u64 {
    let shift = 64 - size * 8;
    if signed { ((v << shift) as i64 >> shift) as u64 } else { v << shift >> shift }
}

/// The smallest type that holds a number, signed if one of that size does: bytes and sign.
fn smallest(n: i64) -> (u32, bool) {
    let sizes = [(1, true), (1, false), (2, true), (2, false), (4, true), (4, false), (8, true)];
    let holds = |(size, signed): &(u32, bool)| {
        let bits = size * 8;
        let (low, high) = if *signed {
            (-(1_i128 << (bits - 1)), (1_i128 << (bits - 1)) - 1)
        } else {
            (0, (1_i128 << bits) - 1)
        };
        (low..=high).contains(&i128::from(n))
    };
    sizes.into_iter().find(holds).unwrap()
}

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
                let (t, x) = self.expr(depth - 1);
                // The sign of a 64-bit unsigned number stays what it is.
                (format!("(-({t}))"), Val::wide(x.v.wrapping_neg(), x.signed || x.size < 8 || x.literal))
            }
            1 => {
                let (t, x) = self.expr(depth - 1);
                let val = if x.literal { Val::wide(!x.v, false) } else { Val::of(!x.v, x.size, x.signed) };
                (format!("(~({t}))"), val)
            }
            2 => {
                let (name, size, signed) = [
                    ("uint8", 1, false),
                    ("int8", 1, true),
                    ("uint16", 2, false),
                    ("int16", 2, true),
                    ("uint32", 4, false),
                    ("int32", 4, true),
                    ("uint64", 8, false),
                    ("int64", 8, true),
                ][self.rng.below(8) as usize];
                let (t, x) = self.expr(depth - 1);
                (format!("(({name})({t}))"), Val::of(x.v, size, signed))
            }
            3 => {
                let (c, cond) = self.expr(depth - 1);
                let (a, x) = self.expr(depth - 1);
                let (b, y) = self.expr(depth - 1);
                // A branch is taken as a number of 64 bits, its sign is not asked for.
                let v = if cond.v != 0 { x.v } else { y.v };
                (format!("((int64)(({c}) ? (int64)({a}) : (int64)({b})))"), Val::wide(v, true))
            }
            _ => self.binary(depth),
        }
    }

    fn leaf(&mut self) -> (String, Val) {
        if self.rng.below(2) == 0 {
            let i = self.rng.below(self.vars.len() as u64) as usize;
            let n = self.vars[i];
            let (size, signed) = smallest(n);
            return (format!("$v{i}"), Val { v: n as u64, size, signed, literal: false });
        }
        let n = match self.rng.below(4) {
            0 => self.rng.below(8),
            1 => self.rng.below(256),
            2 => self.rng.below(1 << 33),
            _ => self.rng.next() >> 1,
        };
        (format!("{n}"), Val { v: n, size: 8, signed: smallest(n as i64).1, literal: true })
    }

    fn binary(&mut self, depth: u32) -> (String, Val) {
        let op = [
            "+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>", "<", "<=", ">", ">=", "==", "!=", "&&", "||",
        ][self.rng.below(18) as usize];
        let (at, x) = self.expr(depth - 1);
        let (bt, y) = self.expr(depth - 1);
        let signed = x.fits() && y.fits();
        let (a, b) = (x.v, y.v);
        let (sa, sb) = (a as i64, b as i64);
        let less = if signed { sa < sb } else { a < b };
        let truth = |t: bool| Val::of(u64::from(t), 1, false);
        let val = match op {
            "+" => Val::wide(a.wrapping_add(b), signed),
            "-" => Val::wide(a.wrapping_sub(b), signed),
            "*" => Val::wide(a.wrapping_mul(b), signed),
            "/" | "%" if b == 0 => Val::wide(1, signed),
            "/" if signed => Val::wide(sa.wrapping_div(sb) as u64, signed),
            "/" => Val::wide(a / b, signed),
            "%" if signed => Val::wide(sa.wrapping_rem(sb) as u64, signed),
            "%" => Val::wide(a % b, signed),
            "&" => Val::wide(a & b, signed),
            "|" => Val::wide(a | b, signed),
            "^" => Val::wide(a ^ b, signed),
            "<<" if x.literal && y.literal && b < 64 && (a as u128) << b > i64::MAX as u128 => {
                // Of literals it is known that the sign bit is needed; beyond 64 bits nothing is.
                Val::wide(a << b, x.signed && u64::try_from((a as u128) << b).is_err())
            }
            "<<" => Val::wide(a << (b & 63), x.signed),
            ">>" if x.signed => Val::wide((sa >> (b & 63)) as u64, true),
            ">>" => Val::wide(a >> (b & 63), false),
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
        let (text, Val { v: wanted, .. }) = maker.expr(depth);
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
