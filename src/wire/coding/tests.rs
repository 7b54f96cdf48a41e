use std::io::Write;

use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use flate2::Compression;
use ruzstd::encoding::{compress_to_vec, CompressionLevel};

use super::*;

const TEXT: &[u8] =
    br#"{"model":"p/m","messages":[{"role":"user","content":"hi hi hi hi hi hi hi hi hi hi"}]}"#;
const WIDE: u64 = 100 * 1024 * 1024;

/// [`TEXT`] by Zstandard's own program: with a check sum and its size, at another level without the sum, in
/// a stream without either, and in a stream with the sum alone.
const BY_OTHERS: [&str; 4] = [
    "28b52ffd24561d0200c4037b226d6f64656c223a22702f6d222c226d65737361676573223a5b7b22726f6c65223a2275736572222c22636f6e74656e74223a22686920227d5d7d0100a8eda05a545826",
    "28b52ffd2056d50100c2830c11a0ed851dd38dbc76ad118048db78ea5f3093cc0395ae876c216be6e16f3b5ebfabbdcba1ef45a57bf9e12cdcf56b4fe3cb0100a8eda0",
    "28b52ffd00001d0200c4037b226d6f64656c223a22702f6d222c226d65737361676573223a5b7b22726f6c65223a2275736572222c22636f6e74656e74223a22686920227d5d7d0100a8eda0",
    "28b52ffd04581d0200c4037b226d6f64656c223a22702f6d222c226d65737361676573223a5b7b22726f6c65223a2275736572222c22636f6e74656e74223a22686920227d5d7d0100a8eda05a545826",
];

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zlib(text: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn raw(text: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zstd(text: &[u8]) -> Vec<u8> {
    compress_to_vec(text, CompressionLevel::Fastest)
}

/// Noise and text in turn, so that every kind of block is used.
fn long() -> Vec<u8> {
    let mut state = 1_u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let mut text = Vec::new();
    while text.len() < 700_000 {
        text.extend((0..3000).map(|_| noise()));
        text.extend(TEXT.repeat(50));
        text.extend([b' '; 5000]);
    }
    text
}

/// Decodes in rounds of `step` more bytes; the output, and the most that the decoder kept.
fn decoded(
    coding: Coding,
    body: &[u8],
    limit: u64,
    step: usize,
) -> Result<(Vec<u8>, usize), CodingError> {
    let mut decoding = Decoding::new(coding, body.to_vec(), limit);
    let (mut output, mut room) = (Vec::new(), step);
    for _ in 0..10_000_000 {
        match decoding.run(&mut output, room)? {
            Pause::Done => return Ok((output, decoding.memory())),
            Pause::Full => {
                assert_eq!(output.len(), room);
                room += step;
            }
            Pause::Memory => {}
        }
    }
    panic!("it never ends")
}

fn error(coding: Coding, body: &[u8]) -> CodingError {
    decoded(coding, body, WIDE, 1 << 20).map(|(output, _)| output.len()).unwrap_err()
}

#[test]
fn each_coding_gives_back_what_was_encoded_in_steps_of_any_size() {
    let long = long();
    for (text, steps) in
        [(TEXT, &[1, 7, 1 << 20][..]), (&long, &[4096, 99_991, 1 << 20]), (b"", &[1])]
    {
        for (coding, body) in [
            (Coding::Gzip, gzip(text)),
            (Coding::Gzip, [gzip(text), gzip(b""), gzip(TEXT)].concat()),
            (Coding::Deflate, zlib(text, 6)),
            (Coding::Deflate, zlib(text, 0)),
            (Coding::Deflate, raw(text, 6)),
            (Coding::Deflate, raw(text, 0)),
            (Coding::Deflate, raw(text, 9)),
            (Coding::Zstd, zstd(text)),
            (Coding::Zstd, [&unhex("502a4d1803000000616263"), &zstd(text)[..]].concat()),
            (Coding::Zstd, [zstd(text), zstd(b""), unhex(BY_OTHERS[1])].concat()),
        ] {
            for step in steps {
                let (output, _) = decoded(coding, &body, WIDE, *step).unwrap();
                let rest = output.strip_prefix(text).unwrap();
                assert!(rest.is_empty() || rest == TEXT, "{coding:?} in {step}");
            }
        }
    }
    for body in BY_OTHERS {
        assert_eq!(decoded(Coding::Zstd, &unhex(body), WIDE, 5).unwrap().0, TEXT, "{body}");
    }
}

#[test]
fn whatever_is_cut_has_bytes_behind_its_end_or_is_empty_is_told_as_that() {
    let bodies = [
        (Coding::Gzip, gzip(TEXT)),
        (Coding::Deflate, zlib(TEXT, 6)),
        (Coding::Deflate, raw(TEXT, 6)),
        (Coding::Deflate, raw(TEXT, 0)),
        (Coding::Zstd, zstd(TEXT)),
        (Coding::Zstd, unhex(BY_OTHERS[0])),
        (Coding::Zstd, unhex(BY_OTHERS[1])),
        (Coding::Zstd, unhex(BY_OTHERS[2])),
    ];
    for (coding, body) in bodies {
        assert_eq!(error(coding, b""), CodingError::Empty);
        for end in 1..body.len() {
            assert_eq!(error(coding, &body[..end]), CodingError::CutShort, "{coding:?} at {end}");
        }
        for garbage in [&b"\0\0\0\0\0\0\0\0\0\0\0\0"[..], b"{\"model\":\"p/m\"}"] {
            let longer = [&body, garbage].concat();
            assert_eq!(error(coding, &longer), CodingError::Trailing, "{coding:?}");
        }
        // As raw deflate, text begins a block of its own.
        error(coding, TEXT);
        assert!(matches!(error(coding, &[0xff; 12]), CodingError::Corrupt(_)), "{coding:?}");
    }
}

#[test]
fn a_changed_byte_is_an_error_where_there_is_a_check_sum_and_never_a_panic() {
    let long = &long()[..20_000];
    for (coding, body, checked) in [
        (Coding::Gzip, gzip(long), true),
        (Coding::Deflate, zlib(long, 6), true),
        (Coding::Deflate, raw(long, 6), false),
        (Coding::Zstd, zstd(long), false),
        (Coding::Zstd, unhex(BY_OTHERS[1]), false),
    ] {
        // The head of gzip holds a time and a name of the system.
        for at in (10..body.len()).step_by(1 + body.len() / 300) {
            let mut body = body.clone();
            body[at] ^= 0x55;
            let result = decoded(coding, &body, WIDE, 1 << 20);
            assert!(!checked || result.is_err(), "{coding:?} at {at}");
        }
    }
}

#[test]
fn bombs_end_at_the_limit() {
    let zeros = vec![0; 3_000_000];
    // Each of them is 128 KiB in four bytes, and there is no end.
    let blocks = [unhex("28b52ffd0058"), unhex("02001000").repeat(1_000_000)].concat();
    for (coding, body) in [
        (Coding::Gzip, gzip(&zeros)),
        (Coding::Gzip, gzip(&zeros[..300_000]).repeat(1000)),
        (Coding::Deflate, zlib(&zeros, 9)),
        (Coding::Deflate, raw(&zeros, 9)),
        (Coding::Zstd, zstd(&zeros)),
        (Coding::Zstd, blocks),
    ] {
        let mut decoding = Decoding::new(coding, body, 1_000_000);
        let mut output = Vec::with_capacity(1_000_001);
        let ended = loop {
            match decoding.run(&mut output, 1_000_001) {
                Ok(Pause::Memory) => {}
                other => break other,
            }
        };
        assert_eq!(ended, Err(CodingError::TooLarge), "{coding:?}");
        assert!(output.capacity() <= 1_100_000);
    }
    for (coding, body) in [(Coding::Gzip, gzip(TEXT)), (Coding::Zstd, zstd(TEXT))] {
        let length = TEXT.len() as u64;
        assert!(decoded(coding, &body, length, 1 << 20).is_ok());
        let refused = decoded(coding, &body, length - 1, 1 << 20);
        assert_eq!(refused.map(|_| ()), Err(CodingError::TooLarge));
    }
}

#[test]
fn a_zstd_block_that_would_grow_without_end_is_refused() {
    // 16 bytes, then 1,000 times 65,539 bytes of those, in 2 KB.
    let body = [
        unhex("28b52ffd0058"),
        unhex("800000"),
        b"0123456789abcdef".to_vec(),
        block(&[&[0x01, 0x61, 0x83, 0xe8, 0x54, 0, 0, 52][..], &[0; 2000], &[1]].concat()),
    ];
    let mut decoding = Decoding::new(Coding::Zstd, body.concat(), WIDE);
    let mut output = Vec::new();
    assert_eq!(decoding.run(&mut output, 1 << 24), Ok(Pause::Memory));
    let refused = decoding.run(&mut output, 1 << 24);
    assert!(matches!(refused, Err(CodingError::Corrupt(_))), "{refused:?}");
    assert!(output.len() < 1000);
}

/// The last block of a frame.
fn block(content: &[u8]) -> Vec<u8> {
    let head = (content.len() as u32) << 3 | 2 << 1 | 1;
    [&head.to_le_bytes()[..3], content].concat()
}

#[test]
fn a_zstd_window_is_asked_for_before_it_is_taken_and_has_a_limit() {
    for (head, window) in
        [("0058", Some(2 << 20)), ("0068", Some(8 << 20)), ("0069", None), ("00ff", None)]
    {
        let body = unhex(&format!("28b52ffd{head}010000"));
        let mut decoding = Decoding::new(Coding::Zstd, body, 1000);
        let before = decoding.memory();
        match window {
            Some(window) => {
                assert_eq!(decoding.run(&mut Vec::new(), 100), Ok(Pause::Memory));
                assert_eq!(decoding.memory() - before, window - 1);
                assert_eq!(decoding.run(&mut Vec::new(), 100), Ok(Pause::Done));
            }
            None => {
                assert_eq!(decoding.run(&mut Vec::new(), 100), Err(CodingError::Window), "{head}");
            }
        }
    }
    // The content is the window: a terabyte.
    let body = unhex("28b52ffde00000000000010000010000");
    assert_eq!(
        Decoding::new(Coding::Zstd, body, 1000).run(&mut Vec::new(), 100),
        Err(CodingError::TooLarge)
    );
    let short = unhex("28b52ffd200a010000");
    assert!(
        matches!(error(Coding::Zstd, &short), CodingError::Corrupt(_)),
        "ten bytes were promised"
    );
}

#[test]
fn codings_are_known_by_their_names() {
    for (name, coding) in [
        ("gzip", Some(Coding::Gzip)),
        ("X-GZip", Some(Coding::Gzip)),
        ("Deflate", Some(Coding::Deflate)),
        ("ZSTD", Some(Coding::Zstd)),
        ("br", None),
        ("gzip, gzip", None),
        ("gzip,", None),
        ("", None),
    ] {
        assert_eq!(Coding::of(name), coding, "{name}");
    }
}
