//! Frames of a holder's socket, in both directions. What is understood is the same however the bytes arrive, and sent again it is understood
//! again; a length alone reserves no memory.
#![no_main]

use std::fmt::Debug;
use std::io::ErrorKind;

use ao::adapters::runtime::pty::protocol::{Reply, Request, receive, send};
use ao_fuzz::{at_once, in_bounded_memory};
use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The frames of a stream, and why there are no more when that is not its end.
fn frames<T: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin)) -> (Vec<(T, Vec<u8>)>, Option<ErrorKind>) {
    let mut frames = Vec::new();
    loop {
        match at_once(receive(stream)) {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => return (frames, None),
            Err(error) => return (frames, Some(error.kind())),
        }
    }
}

fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(stream: &[u8], cut: usize) {
    let whole = in_bounded_memory(stream, 8, || frames::<T>(&mut &*stream));
    let (head, tail) = stream.split_at(cut.min(stream.len()));
    assert_eq!(frames(&mut head.chain(tail)), whole, "in two parts it is another stream");
    for frame in whole.0 {
        let mut sent = Vec::new();
        // Written as an object, what came as a list can be too long.
        if at_once(send(&mut sent, &frame.0, &frame.1)).is_ok() {
            assert_eq!(frames(&mut &*sent), (vec![frame], None), "sent again it is another frame");
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((cut, stream)) = data.split_first() else { return };
    check::<Request>(stream, usize::from(*cut));
    check::<Reply>(stream, usize::from(*cut));
});
