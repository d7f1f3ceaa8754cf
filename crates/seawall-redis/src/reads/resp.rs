//! What of RESP2 it takes to read keys.
//!
//! <https://redis.io/docs/latest/develop/reference/protocol-spec/>

use bytes::{Buf, Bytes, BytesMut};
use fred::error::{Error, ErrorKind};

use super::queue::Reply;

/// Not what was asked for: nothing that comes after it can be told apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Garbled;

/// Appends the start of a command of so many words, itself included.
pub(super) fn command(output: &mut Vec<u8>, name: &[u8], words: usize) {
    number(output, b'*', words);
    word(output, name);
}

/// Appends a word of a command.
pub(super) fn word(output: &mut Vec<u8>, word: &[u8]) {
    number(output, b'$', word.len());
    output.extend_from_slice(word);
    output.extend_from_slice(b"\r\n");
}

fn number(output: &mut Vec<u8>, sign: u8, mut number: usize) {
    // Without fmt, which would take longer than all the rest of a key.
    let mut digits = [0; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 || first == 0 {
            break;
        }
    }
    output.push(sign);
    output.extend_from_slice(&digits[first..]);
    output.extend_from_slice(b"\r\n");
}

/// Takes the value of one key off `input`, or the error in its place, if all of it is there.
pub(super) fn value(input: &mut BytesMut) -> Result<Option<Reply>, Garbled> {
    let Some((sign, text, end)) = line(input)? else { return Ok(None) };
    match sign {
        b'$' if text == b"-1" => {
            input.advance(end);
            Ok(Some(Ok(None)))
        }
        b'$' => {
            let length = length(text).filter(|it| *it <= MOST_BYTES).ok_or(Garbled)?;
            let whole = end + length + 2;
            let Some(bytes) = input.get(end..whole) else {
                input.reserve((whole - input.len()).min(STEP));
                return Ok(None);
            };
            if !bytes.ends_with(b"\r\n") {
                return Err(Garbled);
            }
            let value = if length < SHARED {
                let value = Bytes::copy_from_slice(&bytes[..length]);
                input.advance(whole);
                value
            } else {
                input.advance(end);
                let value = input.split_to(length).freeze();
                input.advance(2);
                value
            };
            Ok(Some(Ok(Some(value))))
        }
        b'-' => {
            let error = error(text);
            input.advance(end);
            Ok(Some(Err(error)))
        }
        _ => Err(Garbled),
    }
}

/// Takes the start of an array off `input`, or the error in its place, if it is there.
pub(super) fn array(input: &mut BytesMut) -> Result<Option<Result<usize, Error>>, Garbled> {
    let Some((sign, text, end)) = line(input)? else { return Ok(None) };
    let start = match sign {
        b'*' => Ok(length(text).ok_or(Garbled)?),
        b'-' => Err(error(text)),
        _ => return Err(Garbled),
    };
    input.advance(end);
    Ok(Some(start))
}

/// Takes a line that says that something was done off `input`, or the error in its place.
pub(super) fn done(input: &mut BytesMut) -> Result<Option<Result<(), Error>>, Garbled> {
    let Some((sign, text, end)) = line(input)? else { return Ok(None) };
    let done = match sign {
        b'+' => Ok(()),
        b'-' => Err(error(text)),
        _ => return Err(Garbled),
    };
    input.advance(end);
    Ok(Some(done))
}

/// A line: its sign, its text, and where the next begins.
type Line<'a> = (u8, &'a [u8], usize);

/// The first line, if it is there.
fn line(input: &[u8]) -> Result<Option<Line<'_>>, Garbled> {
    let Some((sign, rest)) = input.split_first() else { return Ok(None) };
    let looked = &rest[..rest.len().min(LONGEST_LINE)];
    let Some(end) = looked.iter().position(|byte| *byte == b'\r') else {
        return if looked.len() < LONGEST_LINE { Ok(None) } else { Err(Garbled) };
    };
    match rest.get(end + 1) {
        Some(b'\n') => Ok(Some((*sign, &rest[..end], end + 3))),
        Some(_) => Err(Garbled),
        None => Ok(None),
    }
}

fn length(text: &[u8]) -> Option<usize> {
    if text.is_empty() || text.len() > 10 {
        return None;
    }
    text.iter().try_fold(0_usize, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + usize::from(digit - b'0'))
    })
}

/// With the kinds that fred gives them.
fn error(text: &[u8]) -> Error {
    let text = String::from_utf8_lossy(text).into_owned();
    let kind = match text.split_ascii_whitespace().next() {
        Some("WRONGTYPE") => ErrorKind::InvalidArgument,
        Some("NOAUTH" | "WRONGPASS") => ErrorKind::Auth,
        Some("MOVED" | "ASK" | "CLUSTERDOWN") => ErrorKind::Cluster,
        _ => ErrorKind::Unknown,
    };
    Error::new(kind, text)
}

/// From so many bytes on a value shares what it was read into, and keeps that for as long as it
/// lives.
const SHARED: usize = 16 * 1024;

/// Twice what Redis lets a value have, as it comes.
const MOST_BYTES: usize = 1 << 30;

/// Of a value that has not come yet, room is made for so much at once.
const STEP: usize = 1 << 20;

const LONGEST_LINE: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn input(text: &[u8]) -> BytesMut {
        BytesMut::from(text)
    }

    #[test]
    fn commands_are_written_as_redis_reads_them() {
        let mut output = Vec::new();
        command(&mut output, b"MGET", 3);
        word(&mut output, b"a");
        word(&mut output, b"");
        number(&mut output, b'$', usize::MAX);
        let expected = format!("*3\r\n$4\r\nMGET\r\n$1\r\na\r\n$0\r\n\r\n${}\r\n", usize::MAX);
        assert_eq!(String::from_utf8_lossy(&output), expected);
    }

    #[test]
    fn what_has_not_come_whole_is_left_until_it_has() {
        let long = vec![b'x'; SHARED];
        let text =
            [&b"$3\r\na\r\n\r\n$-1\r\n$0\r\n\r\n-WRONGTYPE no\r\n$16384\r\n"[..], &long, b"\r\n"];
        let text = text.concat();
        let mut input = BytesMut::new();
        let mut values = Vec::new();
        for byte in text {
            input.extend_from_slice(&[byte]);
            if let Some(value) = value(&mut input).expect("well-formed") {
                values.push(value.map_err(|error| error.details().to_owned()));
            }
        }
        let expected = [
            Ok(Some(Bytes::from("a\r\n"))),
            Ok(None),
            Ok(Some(Bytes::new())),
            Err("WRONGTYPE no".to_owned()),
            Ok(Some(Bytes::from(long))),
        ];
        assert_eq!(values, expected);
        assert!(input.is_empty());
    }

    #[test]
    fn what_was_not_asked_for_is_told_from_what_is_on_its_way() {
        for text in [
            "+OK\r\n",
            ":1\r\n",
            "$x\r\n",
            "$\r\n",
            "$-2\r\n",
            "$1\r\nabc",
            "$1\rx",
            "$99999999999\r\n",
        ] {
            assert!(value(&mut input(text.as_bytes())).is_err(), "{text:?}");
        }
        for text in ["", "$", "$1", "$1\r", "$1\r\n", "$1\r\na", "$1\r\na\r"] {
            assert!(matches!(value(&mut input(text.as_bytes())), Ok(None)), "{text:?}");
        }
        assert!(matches!(array(&mut input(b"*12\r\n")), Ok(Some(Ok(12)))));
        assert!(matches!(array(&mut input(b"-LOADING\r\n")), Ok(Some(Err(_)))));
        assert!(array(&mut input(b"$1\r\na\r\n")).is_err());
        assert!(matches!(done(&mut input(b"+OK\r\n")), Ok(Some(Ok(())))));
        assert!(matches!(done(&mut input(b"-NOAUTH\r\n")), Ok(Some(Err(_)))));
        let endless = vec![b'-'; LONGEST_LINE + 1];
        assert!(value(&mut input(&endless)).is_err());
    }
}
