use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::task::noop_waker_ref;
use proptest::prelude::*;
use tokio::io::{AsyncRead, ReadBuf};

use super::Tap;
use crate::wire::Wire;

/// What comes with each read.
struct Pieces(VecDeque<Vec<u8>>);

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(mut piece) = self.0.pop_front() {
            let rest = piece.split_off(piece.len().min(buf.remaining()));
            buf.put_slice(&piece);
            if !rest.is_empty() {
                self.0.push_front(rest);
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// What the driver reads, `room` bytes at a time.
fn read(stream: &[u8], cuts: &[usize], room: usize, wire: &Arc<Wire>) -> Vec<u8> {
    let (mut pieces, mut rest) = (VecDeque::new(), stream);
    for cut in cuts {
        let (piece, after) = rest.split_at((*cut).min(rest.len()));
        rest = after;
        pieces.extend((!piece.is_empty()).then(|| piece.to_vec()));
    }
    pieces.extend((!rest.is_empty()).then(|| rest.to_vec()));
    let mut tap = Tap::new(Pieces(pieces), Arc::clone(wire));
    let mut all = Vec::new();
    loop {
        let mut bytes = vec![0; room];
        let mut buf = ReadBuf::new(&mut bytes);
        let polled =
            Pin::new(&mut tap).poll_read(&mut Context::from_waker(noop_waker_ref()), &mut buf);
        assert!(matches!(polled, Poll::Ready(Ok(()))), "{polled:?}");
        if buf.filled().is_empty() {
            return all;
        }
        all.extend_from_slice(buf.filled());
    }
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = i32::try_from(body.len() + 4).unwrap();
    [&[tag][..], &length.to_be_bytes(), body].concat()
}

proptest! {
    /// However the bytes come, the driver gets all of them but the one answer it does not expect.
    #[test]
    fn only_the_answer_to_the_end_of_a_refused_copy_is_taken_out(
        cuts in prop::collection::vec(1usize..20, 0..20), room in 1usize..30,
        body in prop::collection::vec(any::<u8>(), 0..30), refused in any::<bool>(),
    ) {
        let before = [message(b'2', b""), message(b'E', &body), message(b'Z', b"I")].concat();
        let extra = message(b'Z', b"I");
        let after = [message(b'D', &body), message(b'C', b"SELECT 1\0"), message(b'Z', b"T")].concat();
        let wire = Arc::<Wire>::default();
        if refused {
            wire.begin_copy();
        }
        let stream = [&before[..], &extra, &after].concat();
        let seen = read(&stream, &cuts, room, &wire);
        let expected = if refused { [&before[..], &after].concat() } else { stream };
        prop_assert_eq!(seen, expected);
        prop_assert_eq!(wire.is_adrift(), !refused);
        prop_assert!(!wire.is_copying() && !wire.is_idle(), "the last one says that a transaction is open");
    }

    /// As by one who left before the server took the rows: then the end of the copy has its one answer,
    /// and what is asked next has its own.
    #[test]
    fn nothing_is_taken_out_once_the_server_takes_the_rows(
        cuts in prop::collection::vec(1usize..20, 0..20), room in 1usize..30,
    ) {
        let wire = Arc::<Wire>::default();
        wire.begin_copy();
        wire.expect_bare();
        let ready = message(b'Z', b"I");
        let stream = [message(b'2', b""), message(b'G', &[0; 5]), message(b'E', b"x"), ready.clone(), ready];
        let stream = stream.concat();
        prop_assert_eq!(read(&stream, &cuts, room, &wire), stream);
        prop_assert!(!wire.is_adrift());
    }

    /// One that failed after the server took the rows, perhaps with an answer too many to its end,
    /// behind it another one that is refused, and one with no rows.
    #[test]
    fn of_a_copy_that_failed_as_it_began_only_the_answer_too_many_is_taken_out(
        cuts in prop::collection::vec(1usize..20, 0..20), room in 1usize..30, extra in any::<bool>(),
    ) {
        let wire = Arc::<Wire>::default();
        (0..3).for_each(|_| wire.begin_copy());
        let ready = message(b'Z', b"I");
        let none = Vec::new();
        let taken = [message(b'2', b""), message(b'G', &[0; 5])].concat();
        let failed = [&taken[..], &message(b'E', b"x"), &message(b'N', b"x"), &ready].concat();
        let refused = [message(b'E', b"x"), ready.clone()].concat();
        let done = [&taken[..], &message(b'C', b"COPY 0\0"), &ready].concat();
        let many = if extra { &ready } else { &none };
        let stream = [&failed[..], many, &refused, &ready, &done].concat();
        let expected = [failed, refused, done].concat();
        prop_assert_eq!(read(&stream, &cuts, room, &wire), expected);
        prop_assert!(!wire.is_adrift() && !wire.is_copying());
    }

    /// Nothing is kept back of a stream that ends anywhere.
    #[test]
    fn a_stream_that_ends_in_the_middle_is_passed_on_to_its_end(end in 0usize..11) {
        let stream = [message(b'2', b""), message(b'Z', b"I")].concat();
        let wire = Arc::<Wire>::default();
        wire.begin_copy();
        prop_assert_eq!(read(&stream[..end], &[], 7, &wire), &stream[..end]);
    }
}
