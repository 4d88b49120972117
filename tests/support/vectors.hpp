// The recorded bytes of real peers: tests/vectors/NAME.hex.
//
// A file is: comments `# key: text`, lines of hex bytes, a list of fields as comments.
#pragma once

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace pmixio::test {

struct vector_file {
    std::vector<std::byte> bytes;
    std::vector<std::string> comments; ///< before the bytes, without the mark

    /// The text behind `# key: `, empty if there is none.
    std::string header(std::string_view key) const
    {
        for (const auto& line : comments)
            if (line.size() > key.size() + 1 && line.starts_with(key) && line[key.size()] == ':')
                return line.substr(key.size() + 2);
        return {};
    }
};

/// Throws if there is no such file or it is malformed.
inline vector_file load(const std::string& name)
{
    std::ifstream in(std::filesystem::path(PMIXIO_VECTORS) / (name + ".hex"));
    if (!in)
        throw std::runtime_error("no vector " + name);
    vector_file result;
    for (std::string line; std::getline(in, line);) {
        if (line.starts_with('#')) {
            if (result.bytes.empty() && line.size() > 2)
                result.comments.push_back(line.substr(2));
            if (!result.bytes.empty() && line.starts_with("# fields"))
                break; // names in there may contain line breaks
            continue;
        }
        std::istringstream pairs(line);
        for (std::string pair; pairs >> pair;) {
            std::size_t used = 0;
            const auto value = std::stoul(pair, &used, 16);
            if (used != 2 || pair.size() != 2)
                throw std::runtime_error("not a byte in vector " + name + ": " + pair);
            result.bytes.push_back(static_cast<std::byte>(value));
        }
    }
    if (std::stoul("0" + result.header("bytes")) != result.bytes.size())
        throw std::runtime_error("the header of vector " + name + " says another number of bytes");
    return result;
}

/// All names that start with `prefix`, sorted.
inline std::vector<std::string> names(std::string_view prefix)
{
    std::vector<std::string> result;
    for (const auto& entry : std::filesystem::directory_iterator(PMIXIO_VECTORS))
        if (entry.path().extension() == ".hex" && entry.path().filename().string().starts_with(prefix))
            result.push_back(entry.path().stem().string());
    std::sort(result.begin(), result.end());
    return result;
}

} // namespace pmixio::test
