//! Runs every test vector, and holds the files to the generator that made them.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod accept;
mod feed;
mod forge;
mod reject;
mod reject_claims;
mod reject_signatures;
mod vector;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use hapi_descriptor::{Expectations, JwkError, KeySet, KeySetError, Verified, verify};

use crate::vector::{Rejection, Vector};

fn folder(verdict: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors")).join(verdict)
}

/// The files of a folder, by name without `.json`.
fn files(verdict: &str) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder(verdict)).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| {
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(path).unwrap())
        })
        .collect()
}

fn vectors(verdict: &str) -> BTreeMap<String, Vector> {
    files(verdict).into_iter().map(|(name, text)| (name, serde_json::from_str(&text).unwrap())).collect()
}

fn key_set_reason(error: KeySetError) -> &'static str {
    match error {
        KeySetError::Oversize => "key_set_oversize",
        KeySetError::Malformed => "key_set_malformed",
        KeySetError::DuplicateKid => "key_set_duplicate",
        KeySetError::Key(JwkError::Weak) => "key_set_weak_key",
        KeySetError::Key(JwkError::KidMismatch) => "key_set_kid_mismatch",
        KeySetError::Key(JwkError::PrivateHalf) => "key_set_private_half",
        KeySetError::Key(JwkError::Malformed | JwkError::Unsupported) => "key_set_malformed_key",
    }
}

fn run(vector: &Vector) -> Result<Verified, Rejection> {
    let keys = KeySet::from_jwks(vector.jwks.to_string().as_bytes())
        .map_err(|error| Rejection { refusal: key_set_reason(error).into(), ..Rejection::default() })?;
    let expect = &vector.expect;
    let expected =
        Expectations { issuer: &expect.iss, audience: &expect.aud, server: expect.server.as_deref() };
    verify(&vector.descriptor, &keys, &expected, vector.now).map_err(Rejection::from)
}

#[test]
fn every_accept_vector_verifies() {
    let vectors = vectors("accept");
    assert!(vectors.len() >= 14, "only {} files", vectors.len());
    for (name, vector) in vectors {
        assert_eq!(vector.rejection, None, "{name}");
        assert!(run(&vector).is_ok(), "{name}: {} ({:?})", vector.what, run(&vector));
    }
}

#[test]
fn every_reject_vector_is_refused_for_its_own_reason() {
    let vectors = vectors("reject");
    assert!(vectors.len() >= 100, "only {} files", vectors.len());
    for (name, vector) in vectors {
        let rejection = run(&vector).map(|_| ()).unwrap_err();
        assert_eq!(Some(rejection), vector.rejection, "{name}: {}", vector.what);
    }
}

fn made() -> [(&'static str, Vec<Vector>); 2] {
    [
        ("accept", accept::vectors()),
        ("reject", [reject::vectors(), reject_signatures::vectors(), reject_claims::vectors()].concat()),
    ]
}

#[test]
fn the_files_are_what_the_generator_makes() {
    for (verdict, vectors) in made() {
        let count = vectors.len();
        let made: BTreeMap<_, _> =
            vectors.iter().map(|vector| (vector.name.clone(), vector.to_file())).collect();
        assert_eq!(made.len(), count, "two vectors share a name");
        assert_eq!(made, files(verdict));
    }
}

/// Not a check: `cargo test -p hapi-descriptor --test vectors -- --ignored` writes the files.
#[test]
#[ignore = "writes the vectors"]
fn remake() {
    for (verdict, vectors) in made() {
        let folder = folder(verdict);
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        fs::create_dir_all(&folder).unwrap();
        for vector in vectors {
            fs::write(folder.join(&vector.name).with_extension("json"), vector.to_file()).unwrap();
        }
    }
    feed::remake();
}
