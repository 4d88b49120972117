// What peers say, and a directory that knows some of them.
#pragma once

#include <pmixio/handshake/identity.hpp>

#include <string_view>

namespace pmixio::test {

/// Two ranks of one job.
struct directory {
    result<registration> find_process(std::string_view nspace, wire::rank_type rank) const
    {
        ++asked;
        if (nspace != "job")
            return fault::unknown_namespace;
        if (rank > 1)
            return fault::unknown_rank;
        return registration{1000 + rank, 100};
    }
    mutable int asked = 0;
};

inline hello hello_of(std::string_view security, std::string_view encoding, wire::rank_type rank = 1,
               peer_kind kind = peer_kind::client)
{
    hello said;
    said.security = security;
    said.encoding = encoding;
    said.nspace = "job";
    said.rank = rank;
    said.kind = kind;
    said.release = {4, 2, 2};
    return said;
}

} // namespace pmixio::test
