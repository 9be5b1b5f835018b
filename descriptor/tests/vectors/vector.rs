//! One vector, as it stands in its file.

use hapi_descriptor::Refusal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::forge::{AUD, ISS, NOW, SERVER};

/// See `vectors/README.md` for the members.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Vector {
    #[serde(skip)]
    pub(crate) name: String,
    pub(crate) what: String,
    pub(crate) now: u64,
    pub(crate) jwks: Value,
    pub(crate) expect: Expect,
    pub(crate) descriptor: String,
    #[serde(flatten)]
    pub(crate) rejection: Option<Rejection>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Expect {
    pub(crate) iss: String,
    pub(crate) aud: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rejection {
    pub(crate) refusal: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) claim: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal: refusal.reason().into(),
            claim: refusal.claim().map(Into::into),
            code: Some(refusal.code().into()),
            status: Some(refusal.http_status()),
        }
    }
}

impl Vector {
    /// A vector at the usual instant, with the usual keys and expectations.
    pub(crate) fn accept(name: &str, what: &str, jwks: Value, descriptor: String) -> Self {
        let expect = Expect { iss: ISS.into(), aud: AUD.into(), server: Some(SERVER.into()) };
        Self { name: name.into(), what: what.into(), now: NOW, jwks, expect, descriptor, rejection: None }
    }

    pub(crate) fn at(self, now: u64) -> Self {
        Self { now, ..self }
    }

    pub(crate) fn expecting(mut self, change: impl FnOnce(&mut Expect)) -> Self {
        change(&mut self.expect);
        self
    }

    pub(crate) fn refused(self, refusal: Refusal) -> Self {
        Self { rejection: Some(refusal.into()), ..self }
    }

    pub(crate) fn key_set_refused(self, reason: &str) -> Self {
        Self { rejection: Some(Rejection { refusal: reason.into(), ..Rejection::default() }), ..self }
    }

    pub(crate) fn to_file(&self) -> String {
        serde_json::to_string_pretty(self).unwrap() + "\n"
    }
}
