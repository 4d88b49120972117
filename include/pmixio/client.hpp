// What a client or tool includes: from the address of a server to commands and their answers.
#pragma once

#include <pmixio/client/connect.hpp>
#include <pmixio/client/rendezvous.hpp>
#include <pmixio/client/session.hpp>
#include <pmixio/deadline.hpp>
#include <pmixio/message/collective.hpp>
#include <pmixio/message/control.hpp>
#include <pmixio/message/data.hpp>
#include <pmixio/message/event.hpp>
#include <pmixio/message/process.hpp>
#include <pmixio/policies.hpp>
#include <pmixio/rethrow.hpp>
#include <pmixio/security/native.hpp>
#include <pmixio/security/none.hpp>
