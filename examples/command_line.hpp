// What the examples have in common: options of a command line.
#pragma once

#include <charconv>
#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// What is wrong with a command line.
struct bad_usage : std::invalid_argument {
    using std::invalid_argument::invalid_argument;
};

/// Options that are given, as --name, --name=value or --name value.
class command_line {
public:
    explicit command_line(std::vector<std::string> words) : words_(std::move(words)) {}

    void flag(std::string_view name, bool& to) { flags_[name] = &to; }
    /// `take` may throw std::invalid_argument.
    void value(std::string_view name, std::function<void()> take) { takers_[name] = std::move(take); }
    void value(std::string_view name, std::string& to)
    {
        value(name, [this, &to] { to = value_; });
    }

    /// Obeys options up to a word that is none, to `--`, or to the end. Throws bad_usage.
    void parse()
    {
        for (; at_ != words_.size() && words_[at_] != "--" && words_[at_].starts_with('-'); ++at_) {
            name_ = words_[at_];
            const auto equals = name_.starts_with("--") ? name_.find('=') : name_.npos;
            const bool attached = equals != name_.npos;
            value_ = attached ? name_.substr(equals + 1) : "";
            name_.resize(attached ? equals : name_.size());
            if (const auto flag = flags_.find(name_); flag != flags_.end())
                *flag->second = !attached || fail("takes no value");
            else if (const auto taker = takers_.find(name_); taker == takers_.end())
                throw bad_usage("unknown option " + name_);
            else if (!attached && ++at_ == words_.size())
                fail("needs a value");
            else
                take(taker->second, attached);
        }
        at_ += at_ != words_.size() && words_[at_] == "--";
    }

    bool done() const { return at_ == words_.size(); }
    /// The word that parse() stopped at, which is passed over.
    std::string next() { return words_[at_++]; }
    /// All words from there on.
    std::vector<std::string> rest() const
    {
        return {words_.begin() + static_cast<std::ptrdiff_t>(at_), words_.end()};
    }

    // The value of the option at hand:

    const std::string& text() const { return value_; }
    template <class T>
    T number(T least, T most) const
    {
        T number{};
        const auto end = value_.data() + value_.size();
        const auto [stopped, error] = std::from_chars(value_.data(), end, number);
        if (error != std::errc{} || stopped != end || !(number >= least && number <= most))
            throw bad_usage(name_ + " takes a number from " + short_text(least) + " to " + short_text(most) +
                            ", not '" + value_ + "'");
        return number;
    }
    std::chrono::milliseconds seconds() const
    {
        return std::chrono::milliseconds(static_cast<std::int64_t>(1000 * number<double>(0.001, 1e8)));
    }
    /// A choice from a list of policies.
    template <class List>
    auto subset() const
    {
        const auto chosen = List::subset(value_);
        std::string all;
        for (const auto name : List::names)
            (all += all.empty() ? "" : ", ") += name;
        if (!chosen)
            throw bad_usage(name_ + ": '" + value_ + "' is not a list of: " + all);
        return *chosen;
    }

private:
    [[noreturn]] bool fail(const char* why) const { throw bad_usage(name_ + ' ' + why); }

    void take(const std::function<void()>& taker, bool attached)
    {
        if (!attached)
            value_ = words_[at_];
        try {
            taker();
        } catch (const bad_usage&) {
            throw;
        } catch (const std::invalid_argument& bad) {
            throw bad_usage(name_ + ": " + bad.what());
        }
    }

    template <class T>
    static std::string short_text(T number)
    {
        char text[32];
        return {text, std::to_chars(text, text + sizeof text, number).ptr};
    }

    std::vector<std::string> words_;
    std::size_t at_ = 0;
    std::string name_, value_;
    std::map<std::string_view, bool*> flags_;
    std::map<std::string_view, std::function<void()>> takers_;
};
