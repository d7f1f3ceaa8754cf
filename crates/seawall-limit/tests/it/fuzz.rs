//! A short run of the fuzz target, without a fuzzer: seeds, changed and crossed.

mod entry;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

const SEEDS: [&[u8]; 16] = [
    b"\x0010.0.0.0/8",
    b"\x00::ffff:10.0.0.0/104",
    b"\x0010.0.0.0/8\n# comment\n2001:db8::/32 ; more\n\n1.1.1.1",
    b"\x016.6.6.6, 1.1.1.1, 10.0.0.2",
    b"\x01[2001:db8::1]:443, unknown, _x\n1.2.3.4:80",
    b"\x01\"[2001:db8::1%25eth0]\", ::ffff:1.2.3.4, 64:ff9b::102:304",
    b"\x02for=192.0.2.60;proto=http;by=203.0.113.43, for=unknown",
    b"\x02For=\"[2001:db8:cafe::17]:4711\";host=\"a,\\\"b\"\nfor=_hidden",
    b"\x02for=\"6.6.6.6",
    b"\x03AQEMAAAAAGsCDu_bGRWQJ5EhaSk6BZxvYkEKEvjMtNPvafA.12345",
    b"\x03AQIAAAAAAGsCDu_bGRWQJ5EhaSk6BZxvYkEKEvjMtNPvafA",
    b"\x04\"bids\";r=12;t=48;pk=:YWJj:, \"all\";r=3",
    b"\x04limit=100, remaining=50, reset=5\n30",
    b"\x04x\nSun, 06 Nov 1994 08:49:37 GMT\n1\n7\n0\n1800000060",
    b"\x04\"a\\\"\\\\\";r=0;t=0\n999999999999999",
    b"",
];

/// What the parsers look at.
const PIECES: [&[u8]; 20] = [
    b",", b";", b"=", b"\"", b"\\", b"\\\"", b"[", b"]", b":", b"%", b"/", b".", b"\n", b" ",
    b"for=", b"1.2.3.4", b"::ffff:", b"r=", b"t=", b"\xff",
];

#[test]
fn no_bytes_of_strangers_break_a_parser_or_a_law() {
    let mut random = StdRng::seed_from_u64(0x5ea_3a11);
    let mut corpus: Vec<Vec<u8>> = SEEDS.iter().map(|seed| seed.to_vec()).collect();
    SEEDS.iter().for_each(|seed| entry::run(seed));
    for _ in 0..20_000 {
        let mut data = corpus.choose(&mut random).unwrap().clone();
        for _ in 0..random.random_range(1..6) {
            change(&mut data, &corpus, &mut random);
        }
        data.truncate(2_000);
        entry::run(&data);
        if corpus.len() < 500 {
            corpus.push(data);
        }
    }
}

fn change(data: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut StdRng) {
    let at = random.random_range(0..=data.len());
    match random.random_range(0..5) {
        0 if at < data.len() => data[at] = random.random(),
        1 if at < data.len() => {
            data.remove(at);
        }
        2 => {
            let piece = *PIECES.choose(random).unwrap();
            data.splice(at..at, piece.iter().copied());
        }
        3 => {
            let other = corpus.choose(random).unwrap();
            let from = random.random_range(0..=other.len());
            data.truncate(at);
            data.extend_from_slice(&other[from..]);
        }
        _ => {
            let copy = data[..at].to_vec();
            data.extend(copy);
        }
    }
}
