use super::*;

fn decode_split(framing: Framing, bytes: &[u8], cut: usize) -> (Vec<u8>, usize, bool) {
    let mut decoder = Decoder::new(framing);
    let (mut body, mut consumed) = (Vec::new(), 0);
    for part in [&bytes[..cut], &bytes[cut..]] {
        let mut input = part.to_vec();
        let Ok(piece) = decoder.decode(&mut input) else { break };
        body.extend_from_slice(&input[piece.data]);
        consumed += piece.consumed;
    }
    (body, consumed, decoder.is_done())
}

#[test]
fn chunks_with_extensions_and_trailers_are_read_in_any_split() {
    let bytes = b"5;a=b\r\nhello\r\n1 \r\n,\r\n0006\r\n world\r\n0\r\nX-T: 1\r\n\r\nnext";
    for cut in 0..bytes.len() {
        let (body, consumed, done) = decode_split(Framing::Chunked, bytes, cut);
        assert_eq!((&body[..], done), (&b"hello, world"[..], true), "cut at {cut}");
        assert_eq!(consumed, bytes.len() - 4);
    }
}

#[test]
fn malformed_chunks_are_refused_for_good() {
    for bytes in
        ["\r\n", "5\nhello", "g\r\n", "5\r\nhelloX", "-1\r\n", "5\r\rhello", "1000000000000000\r\n"]
    {
        let mut decoder = Decoder::new(Framing::Chunked);
        let first = decoder.decode(&mut bytes.as_bytes().to_vec());
        assert!(first.is_err() || decoder.failure().is_some(), "{bytes:?}");
        assert!(decoder.decode(&mut b"0\r\n\r\n".to_vec()).is_err());
        assert!(decoder.end().is_err());
    }
}

#[test]
fn a_body_cut_before_its_end_is_not_complete() {
    for (framing, bytes) in
        [(Framing::Length(5), "hell"), (Framing::Chunked, "5\r\nhello\r\n0\r\n")]
    {
        let mut decoder = Decoder::new(framing);
        decoder.decode(&mut bytes.as_bytes().to_vec()).unwrap();
        assert_eq!(decoder.end(), Err(BodyError::Truncated));
    }
    assert_eq!(Decoder::new(Framing::UntilClose).end(), Ok(()));
}

#[test]
fn bytes_behind_a_body_are_left_alone() {
    assert_eq!(decode_split(Framing::Length(2), b"hixx", 1), (b"hi".to_vec(), 2, true));
}
