//! The schemas of what travels, for types that know nothing of schemas: rules and use cases stay free of HTTP.
//!
//! Each is declared here once more, as it is in JSON. That is no second truth: the compiler takes the type apart by the declaration, field by
//! field and variant by variant, and a test compares the words of enumerations with what serde writes. What is added there does not compile
//! until it is described here.

mod approval;
mod maintenance;
mod message;
mod project;
mod session;

/// Gives a type the schema of its declaration.
macro_rules! same_schema {
    ($real:ty, $name:ident) => {
        impl utoipa::PartialSchema for $real {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                <$name as utoipa::PartialSchema>::schema()
            }
        }

        impl utoipa::ToSchema for $real {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn schemas(schemas: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::schema::Schema>)>) {
                <$name as utoipa::ToSchema>::schemas(schemas);
            }
        }
    };
}

/// Describes a structure. What serde leaves out stands behind `skip`.
macro_rules! object {
    ($(#[$meta:meta])* $name:ident($real:ty) { $($(#[$attr:meta])* $field:ident: $ty:ty,)* } $(skip { $($skipped:ident),* })?) => {
        #[derive(utoipa::ToSchema)]
        $(#[$meta])*
        #[expect(dead_code, reason = "only its schema is used")]
        struct $name {
            $($(#[$attr])* $field: $ty,)*
        }

        same_schema!($real, $name);

        const _: fn($real) = |real| {
            type Real = $real;
            let Real { $($field,)* $($($skipped: _,)*)? } = real;
            $(let _: $ty = $field;)*
        };
    };
}

/// Describes an enumeration of words. One that nobody outside may say stands behind `skip`.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident($real:ty) { $($(#[$attr:meta])* $variant:ident = $word:literal,)* } $(skip { $($skipped:ident),* })?) => {
        #[derive(utoipa::ToSchema)]
        $(#[$meta])*
        #[expect(dead_code, reason = "only its schema is used")]
        enum $name {
            $($(#[$attr])* #[schema(rename = $word)] $variant,)*
        }

        same_schema!($real, $name);

        const _: fn(&$real) = |real| {
            type Real = $real;
            match real { $(Real::$variant => (),)* $($(Real::$skipped => (),)*)? }
        };

        #[cfg(test)]
        impl crate::adapters::http::schema::tests::Words for $real {
            fn words() -> Vec<(serde_json::Value, &'static str)> {
                type Real = $real;
                vec![$((serde_json::json!(Real::$variant), $word),)*]
            }
        }
    };
}

/// Describes text of a certain form.
macro_rules! text {
    ($(#[doc = $doc:literal])+ $real:ty, $name:literal, $pattern:literal, $max:literal, $example:literal) => {
        impl utoipa::PartialSchema for $real {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::schema::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .description(Some(concat!($($doc),+).trim()))
                    .pattern(Some($pattern))
                    .max_length(Some($max))
                    .examples([serde_json::json!($example)])
                    .into()
            }
        }

        impl utoipa::ToSchema for $real {
            fn name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }
        }
    };
}

use {object, same_schema, words};

use crate::domain::id::{AgentKind, AgentSessionId, MessageId, ProjectId, RequestId, RuntimeKind, SessionId};

text! {
    /// A registered repository.
    ProjectId, "ProjectId", "^[a-z0-9][a-z0-9-]*$", 64, "app"
}
text! {
    /// One agent on one task: the project's id, `-`, and a number from 1.
    SessionId, "SessionId", "^[a-z0-9][a-z0-9-]*-[1-9][0-9]{0,8}$", 74, "app-1"
}
text! {
    /// A kind of agent: a built-in one, or one named in the configuration.
    AgentKind, "AgentKind", "^[a-z0-9][a-z0-9-]*$", 64, "claude-code"
}
text! {
    /// A kind of runtime.
    RuntimeKind, "RuntimeKind", "^[a-z0-9][a-z0-9-]*$", 64, "pty"
}
text! {
    /// The id an agent gives its own conversation.
    AgentSessionId, "AgentSessionId", "^[!-~]+$", 128, "5f0c5c0e-2f4b-4f7e-9a53-6d4e0c7f2b11"
}
text! {
    /// A message.
    MessageId, "MessageId", "^[0-9a-f]{16}$", 16, "3f1c9a0b5d2e4f60"
}
text! {
    /// A request for a permission.
    RequestId, "RequestId", "^[0-9a-f]{16}$", 16, "b4f7b0e61d1f51a7"
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use utoipa::PartialSchema;

    use crate::app::cleanup::CleanupAction;
    use crate::app::doctor;
    use crate::app::project_file::Acceptance;
    use crate::app::wait::{WaitFor, WaitOutcome};
    use crate::domain::approval::{SubjectKind, Verdict};
    use crate::domain::change::ChangeKind;
    use crate::domain::message::{MessageState, Route};
    use crate::domain::permission::PermissionMode;
    use crate::domain::phase::Step;
    use crate::domain::rule::RuleVerdict;
    use crate::domain::session::{Activity, SessionKind};
    use crate::domain::status::Status;
    use crate::ports::setup::Stage;
    use crate::ports::workspace::OnWork;

    /// What serde writes for each word, beside the word that is described.
    pub(super) trait Words {
        fn words() -> Vec<(Value, &'static str)>;
    }

    fn check<T: Words + PartialSchema>() {
        let described = serde_json::to_value(T::schema()).unwrap();
        let words = T::words();
        assert!(!words.is_empty());
        for (written, word) in &words {
            assert_eq!(written, word);
            assert!(described["enum"].as_array().unwrap().contains(written), "{word} is missing in {described}");
        }
        assert_eq!(described["enum"].as_array().unwrap().len(), words.len(), "{described}");
    }

    #[test]
    fn words_are_described_as_they_are_written() {
        check::<Acceptance>();
        check::<Activity>();
        check::<ChangeKind>();
        check::<CleanupAction>();
        check::<MessageState>();
        check::<OnWork>();
        check::<PermissionMode>();
        check::<Route>();
        check::<RuleVerdict>();
        check::<SessionKind>();
        check::<Stage>();
        check::<Status>();
        check::<Step>();
        check::<SubjectKind>();
        check::<Verdict>();
        check::<WaitFor>();
        check::<WaitOutcome>();
        check::<doctor::Verdict>();
    }
}
